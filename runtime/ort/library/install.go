package library

import (
	"context"

	"github.com/attnx/attnx/runtime/sharedlib"
)

// InstallOptions configure Install.
type InstallOptions struct {
	// CUDA selects the GPU build: a download of about 250 MB with pip, 300 MB installed.
	CUDA bool
	sharedlib.InstallOptions
}

// Install puts ONNX Runtime, version [Version], the CPU build or the GPU build,
// into the user's cache and returns it. The two builds have separate folders.
// See sharedlib.Kind.Install.
func Install(ctx context.Context, o InstallOptions) (Library, error) {
	b := cpuBuild()
	if o.CUDA {
		b = gpuBuild()
	}
	lib, err := kind.Install(ctx, b, o.InstallOptions)
	return Library(lib), err
}

// FindOrInstall returns the library that Find finds for the CPU. If nothing is found
// and explicit is empty, it installs the CPU build. progress may be nil; see
// InstallOptions.
func FindOrInstall(ctx context.Context, explicit string, progress func(done, total int64)) (Library, error) {
	if err := CgoMissing(); err != nil {
		return Library{}, err // no download for a program that cannot use it
	}
	lib, named, err := find(explicit, "cpu", thisMachine())
	if err == nil || named {
		return lib, err
	}
	return Install(ctx, InstallOptions{InstallOptions: sharedlib.InstallOptions{Progress: progress}})
}
