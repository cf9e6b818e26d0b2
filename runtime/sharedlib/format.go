package sharedlib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
)

// checkLibrary reports why the file at path, a regular file, is not a complete
// shared library of this system, as far as its headers show. The loader maps a
// file as the headers say, and a file that is too short crashes the process.
func (k *Kind) checkLibrary(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	magic := make([]byte, 4)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	of := map[string]fileFormat{"windows": peFormat, "darwin": machoFormat, "ios": machoFormat}[goruntime.GOOS]
	if of.check == nil {
		of = elfFormat
	}
	if !of.is(magic[:n]) {
		return fmt.Errorf("it is not a shared library (%s)", of.name)
	}
	return of.check(k, f, info.Size())
}

// fileFormat is a format of shared libraries.
type fileFormat struct {
	name  string
	is    func(magic []byte) bool
	check func(k *Kind, r io.ReaderAt, size int64) error
}

var (
	elfFormat   = fileFormat{"ELF", func(m []byte) bool { return bytes.Equal(m, []byte(elf.ELFMAG)) }, checkELF}
	peFormat    = fileFormat{"PE", func(m []byte) bool { return bytes.HasPrefix(m, []byte("MZ")) }, checkPE}
	machoFormat = fileFormat{"Mach-O", func(m []byte) bool { return len(m) == 4 }, checkMachO}
)

func truncated(size int64, end uint64) error {
	return fmt.Errorf("it is truncated: it has %d bytes, its headers speak of %d", size, end)
}

func headers(err error) error { return fmt.Errorf("it is truncated or damaged: %w", err) }

// machines maps GOARCH to ELF machine numbers.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV}

func checkELF(k *Kind, r io.ReaderAt, size int64) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return headers(err)
	}
	want, known := machines[goruntime.GOARCH]
	switch {
	case known && f.Machine != want:
		return fmt.Errorf("it is for another processor: %v, not %v", f.Machine, want)
	case f.Type != elf.ET_DYN:
		return fmt.Errorf("it is an ELF file of type %v, not a shared library", f.Type)
	}
	loaded, dynamic := false, false
	for _, p := range f.Progs {
		if p.Filesz > 1<<62 || p.Off > 1<<62 || p.Type == elf.PT_LOAD && p.Memsz < p.Filesz {
			return headers(errors.New("a segment of impossible size"))
		}
		if end := p.Off + p.Filesz; end > uint64(size) {
			return truncated(size, end)
		}
		loaded, dynamic = loaded || p.Type == elf.PT_LOAD, dynamic || p.Type == elf.PT_DYNAMIC
	}
	if !loaded || !dynamic {
		return headers(errors.New("it has nothing to load"))
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL && (s.FileSize > 1<<62 || s.Offset > 1<<62 || s.Offset+s.FileSize > uint64(size)) {
			return truncated(size, s.Offset+s.FileSize)
		}
	}
	return k.checkDynamic(f)
}

// checkDynamic checks the tables that the loader reads first, without which the
// process crashes, and the library's exported names.
func (k *Kind) checkDynamic(f *elf.File) error {
	for _, tag := range []elf.DynTag{elf.DT_STRTAB, elf.DT_SYMTAB} {
		at, err := f.DynValue(tag)
		if err != nil {
			return headers(err)
		}
		if len(at) != 1 || !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool {
			return p.Type == elf.PT_LOAD && at[0] >= p.Vaddr && at[0]-p.Vaddr < p.Filesz
		}) {
			return headers(fmt.Errorf("it has no %v", tag))
		}
	}
	if f.SectionByType(elf.SHT_DYNSYM) == nil { // the loader does not need it; dlsym will report missing symbols
		return nil
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return headers(err)
	}
	if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == k.Symbol && s.Section != elf.SHN_UNDEF }) {
		return errors.New("it is a shared library, but not " + k.Title)
	}
	return nil
}

func checkPE(_ *Kind, r io.ReaderAt, size int64) error {
	f, err := pe.NewFile(r)
	if err != nil {
		return headers(err)
	}
	if want := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64}[goruntime.GOARCH]; want != 0 && f.Machine != want {
		return fmt.Errorf("it is for another processor: %#x, not %#x", f.Machine, want)
	}
	for _, s := range f.Sections {
		if end := uint64(s.Offset) + uint64(s.Size); end > uint64(size) {
			return truncated(size, end)
		}
	}
	return nil
}

// checkMachO checks a Mach-O file. A universal one has a part for each processor.
func checkMachO(_ *Kind, r io.ReaderAt, size int64) error {
	fat, err := macho.NewFatFile(r)
	if errors.Is(err, macho.ErrNotFat) {
		f, err := macho.NewFile(r)
		if err != nil {
			return headers(err)
		}
		return checkMachOPart(f, uint64(size))
	}
	if err != nil {
		return headers(err)
	}
	for _, a := range fat.Arches {
		if end := uint64(a.Offset) + uint64(a.Size); end > uint64(size) {
			return truncated(size, end)
		}
	}
	want, known := machoProcessors[goruntime.GOARCH]
	var others []string
	for _, a := range fat.Arches {
		if !known || a.Cpu == want {
			return checkMachOPart(a.File, uint64(a.Size))
		}
		others = append(others, a.Cpu.String())
	}
	return fmt.Errorf("it is for other processors: %s, not %v", strings.Join(others[:min(len(others), 8)], ", "), want)
}

// machoProcessors maps GOARCH to Mach-O processors.
var machoProcessors = map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}

// checkMachOPart checks a file, or the part of a universal one, of size bytes.
func checkMachOPart(f *macho.File, size uint64) error {
	if want, known := machoProcessors[goruntime.GOARCH]; known && f.Cpu != want {
		return fmt.Errorf("it is for another processor: %v, not %v", f.Cpu, want)
	}
	if f.Type != macho.TypeDylib {
		return fmt.Errorf("it is a Mach-O file of type %v, not a shared library", f.Type)
	}
	for _, l := range f.Loads {
		if s, ok := l.(*macho.Segment); ok && (s.Filesz > size || s.Offset > size-s.Filesz) {
			if s.Filesz > 1<<62 || s.Offset > 1<<62 {
				return headers(errors.New("a segment of impossible size"))
			}
			return truncated(int64(size), s.Offset+s.Filesz)
		}
	}
	return nil
}
