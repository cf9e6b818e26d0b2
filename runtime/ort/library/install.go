package library

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// InstallOptions says how Install fetches the library.
type InstallOptions struct {
	// CUDA asks for the GPU build: about 250 MB to fetch, with pip, and 300 MB installed.
	CUDA bool
	// Client is "npm" or "pip"; empty takes whichever is there and works, npm first.
	Client string
	// Progress, if not nil, is told the bytes fetched and the bytes to fetch.
	// It is called from another goroutine, a few times a second.
	Progress func(done, total int64)
}

// Install puts ONNX Runtime, version [Version], the CPU build or the GPU build,
// into the user's cache and returns it; if it is there already, and every byte of
// it is right, it only returns it. The two builds lie beside each other.
//
// The library comes out of a package that npm or pip fetches from wherever
// they are configured to; a package whose SHA-256 is not the pinned one is
// refused before it is opened. A build appears in the cache whole or not
// at all, and several processes may install at once. Errors that another
// choice would mend (no client, no build for this system, the client failed)
// are *runtime.UnavailableError.
func Install(ctx context.Context, o InstallOptions) (Library, error) {
	b := cpuBuild()
	if o.CUDA {
		b = gpuBuild()
	}
	dir, err := cacheFolder(b)
	if err != nil {
		return Library{}, unavailable(err.Error(), "set HOME, or name a library with "+EnvLibrary)
	}
	path, err := install(ctx, dir, b, o)
	if err != nil {
		return Library{}, err
	}
	return Library{path, "cache"}, nil
}

// FindOrInstall returns the library that Find finds for the CPU, and installs
// the CPU build when nothing is found and explicit is empty. progress may be nil; see
// InstallOptions.
func FindOrInstall(ctx context.Context, explicit string, progress func(done, total int64)) (Library, error) {
	if err := CgoMissing(); err != nil {
		return Library{}, err // no download for a program that cannot use it
	}
	lib, named, err := find(explicit, "cpu", thisMachine())
	if err == nil || named {
		return lib, err
	}
	return Install(ctx, InstallOptions{Progress: progress})
}

// install is Install with the folder and the build as arguments.
func install(ctx context.Context, dir string, b build, o InstallOptions) (string, error) {
	library := filepath.Join(dir, libraryNames()[0])
	// The client is wrong whatever is there already.
	if o.Client != "" && o.Client != "npm" && o.Client != "pip" {
		return "", fmt.Errorf("client %.80q: it must be npm or pip", o.Client)
	}
	if o.Client != "" && len(b.bundles) > 0 && !slices.ContainsFunc(b.bundles, func(from bundle) bool { return from.client == o.Client }) {
		return "", fmt.Errorf("client %.80q: it has no %s build, take pip", o.Client, b.name)
	}
	if b.check(dir, true) == nil && len(leftovers(dir)) == 0 {
		return library, nil
	}
	if len(b.bundles) == 0 {
		return "", unavailable("there is no official "+b.name+" build for "+goruntime.GOOS+"/"+goruntime.GOARCH,
			"build ONNX Runtime "+MinVersion+" or newer, and name a library with "+EnvLibrary)
	}

	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	for _, old := range leftovers(dir) { // in nobody's use, now that the lock is ours
		if err := os.RemoveAll(old); err != nil {
			return "", err
		}
	}
	if b.check(dir, true) == nil { // another process was faster
		return library, nil
	}

	var refusals []string
	for _, from := range b.bundles {
		if o.Client != "" && o.Client != from.client {
			continue
		}
		command := clientCommand(from.client)
		if command == nil {
			refusals = append(refusals, from.client+" is not installed")
			continue
		}
		err := from.installWith(ctx, command, parent, dir, o.Progress)
		if err == nil {
			err = b.check(dir, true)
		}
		var mismatch *hashError
		switch {
		case err == nil:
			return library, nil
		case errors.Is(err, syscall.ENOSPC):
			return "", unavailable(err.Error(), "free some space for "+dir)
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.As(err, &mismatch):
			return "", err // not a case for a second try elsewhere: somebody should look
		}
		refusals = append(refusals, err.Error())
	}
	return "", unavailable("fetching it failed: "+strings.Join(refusals, "; "),
		"install npm or pip and check the network, or name a library with "+EnvLibrary)
}

// temporary is how the names begin of the folders in which installations to dir
// work, beside it.
func temporary(dir string) string { return ".installing-" + filepath.Base(dir) + "." }

// leftovers returns such folders: of installations at work or killed, and of
// clients that worked on after them.
func leftovers(dir string) []string {
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary(dir)) {
			found = append(found, filepath.Join(filepath.Dir(dir), e.Name()))
		}
	}
	return found
}

// installWith fetches, verifies and unpacks one bundle in a temporary folder
// beside dir and renames the result to dir.
func (b bundle) installWith(ctx context.Context, command []string, parent, dir string, progress func(done, total int64)) (err error) {
	tmp, err := os.MkdirTemp(parent, temporary(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	download, ready := filepath.Join(tmp, "download"), filepath.Join(tmp, "ready")
	for _, sub := range []string{download, ready} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			return err
		}
	}
	if err := b.fetch(ctx, command, download, progress); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(download, b.file))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.verify(f); err != nil {
		return err
	}
	names := b.installed()
	for i, library := range b.files {
		if err := b.extract(f, library, filepath.Join(ready, names[i])); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil { // it lacks a library, or one is damaged, or we would not be here
		return err
	}
	return os.Rename(ready, dir)
}

// lock takes the lock file at path, waiting for other processes, and returns
// what releases it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	type result struct {
		unlock func()
		err    error
	}
	got := make(chan result, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		got <- result{unlock, err}
	}()
	select {
	case r := <-got:
		return r.unlock, r.err
	case <-ctx.Done():
		go func() { // whoever waits next must not find it taken by nobody
			if r := <-got; r.err == nil {
				r.unlock()
			}
		}()
		return nil, ctx.Err()
	}
}
