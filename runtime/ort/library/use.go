package library

import (
	"fmt"
	"sync"
)

// loaded is the library that this process has loaded. It is never unloaded:
// ONNX Runtime's threads outlive its sessions, and unmapping the library under
// a running thread crashes the process.
var loaded struct {
	sync.Mutex
	Library
}

// Use returns the library of this process. The first call finds it, as Find
// does, and loads it with load. A library that fails to load does not prevent a
// later attempt. Later calls return the loaded library, and refuse a path to
// another one.
func Use(explicit, device string, load func(Library) error) (Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.Path != "" && explicit == "" {
		return loaded.Library, nil
	}
	lib, _, err := find(explicit, device, thisMachine())
	if err != nil {
		return Library{}, err
	}
	if loaded.Path != "" {
		if real(lib.Path) != real(loaded.Path) {
			return Library{}, fmt.Errorf("this process has loaded ONNX Runtime from %s; %s cannot be loaded beside it: use one library, or start another process",
				loaded.Path, lib.Path)
		}
		return loaded.Library, nil
	}
	if err := load(lib); err != nil {
		return Library{}, err
	}
	loaded.Library = lib
	return lib, nil
}

// inUse returns the library that this process has loaded, or none.
func inUse() Library {
	loaded.Lock()
	defer loaded.Unlock()
	return loaded.Library
}

// InUse returns the library that this process has loaded, or none.
func InUse() Library {
	lib := inUse()
	if lib.Path == "" {
		return lib
	}
	// Code that opens the library that Find found passes its path, as if the user
	// had chosen it.
	for _, device := range []string{"cpu", "cuda"} {
		if found, _, err := find("", device, thisMachine()); err == nil && real(found.Path) == real(lib.Path) {
			return found
		}
	}
	return lib
}
