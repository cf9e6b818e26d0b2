package library

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// imports is what a library requests from the system's loader.
type imports struct {
	needed  []string // names of libraries, each once, as in the file
	rpath   []string // folders searched before LD_LIBRARY_PATH
	runpath []string // folders searched after it; if present, the loader ignores rpath
}

// readImports reads the imports of an ELF (Linux) or a PE file (Windows).
func readImports(path string) (imports, error) {
	f, err := os.Open(path)
	if err != nil {
		return imports{}, err
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return imports{}, err
	}
	var read func(io.ReaderAt) (imports, error)
	switch {
	case bytes.HasPrefix(magic, []byte(elf.ELFMAG)):
		read = elfImports
	case bytes.HasPrefix(magic, []byte("MZ")):
		read = peImports
	default:
		return imports{}, fmt.Errorf("%s: neither ELF nor PE: it is not a library of this system", path)
	}
	in, err := read(f)
	if err != nil {
		return imports{}, fmt.Errorf("%s: its list of libraries cannot be read: %w", path, err)
	}
	return in, nil
}

func elfImports(r io.ReaderAt) (in imports, err error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return in, err
	}
	if in.needed, err = f.DynString(elf.DT_NEEDED); err != nil {
		return in, err
	}
	if in.rpath, err = paths(f, elf.DT_RPATH); err != nil {
		return in, err
	}
	in.runpath, err = paths(f, elf.DT_RUNPATH)
	return in, err
}

// paths returns the folders of a search path in an ELF file.
func paths(f *elf.File, tag elf.DynTag) ([]string, error) {
	var dirs []string
	entries, err := f.DynString(tag)
	for _, e := range entries {
		dirs = append(dirs, strings.Split(e, ":")...)
	}
	return dirs, err
}

func peImports(r io.ReaderAt) (in imports, err error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return in, err
	}
	symbols, err := f.ImportedSymbols() // "symbol:library"
	for _, s := range symbols {
		if _, library, ok := strings.Cut(s, ":"); ok && !slices.Contains(in.needed, library) {
			in.needed = append(in.needed, library)
		}
	}
	return in, err
}
