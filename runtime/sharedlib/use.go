package sharedlib

import "fmt"

// Use returns the library of this process. The first call finds it with find
// and loads it with load. A library that fails to load does not prevent a later
// attempt. Later calls return the loaded library, and refuse a path to another
// one. It is never unloaded: a runtime's threads outlive its sessions, and
// unmapping the library under a running thread crashes the process.
func (k *Kind) Use(explicit string, find func() (Library, error), load func(Library) error) (Library, error) {
	k.loaded.Lock()
	defer k.loaded.Unlock()
	if k.loaded.Path != "" && explicit == "" {
		return k.loaded.Library, nil
	}
	lib, err := find()
	if err != nil {
		return Library{}, err
	}
	if k.loaded.Path != "" {
		if Real(lib.Path) != Real(k.loaded.Path) {
			return Library{}, fmt.Errorf("this process has loaded %s from %s; %s cannot be loaded beside it: use one library, or start another process",
				k.Title, k.loaded.Path, lib.Path)
		}
		return k.loaded.Library, nil
	}
	if err := load(lib); err != nil {
		return Library{}, err
	}
	k.loaded.Library = lib
	return lib, nil
}

// InUse returns the library that this process has loaded, or none. found
// returns the libraries that Find finds: code that opens one of these passes its
// path, as if the user had chosen it, and InUse then returns where it was found.
func (k *Kind) InUse(found ...func() (Library, error)) Library {
	k.loaded.Lock()
	lib := k.loaded.Library
	k.loaded.Unlock()
	if lib.Path == "" {
		return lib
	}
	for _, find := range found {
		if other, err := find(); err == nil && Real(other.Path) == Real(lib.Path) {
			return other
		}
	}
	return lib
}
