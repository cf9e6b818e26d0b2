// Package elftest makes small ELF files, for tests of code that reads libraries.
package elftest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"
)

// machine is the number of this processor.
var machine = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV}

// File returns a small ELF file that has a list of needed libraries, a run path
// and ONNX Runtime's one symbol: the headers, the dynamic table, its
// symbols and strings, and the headers of these three as sections. Its
// addresses are its offsets.
func File(needed []string, runpath string) []byte {
	strs := []byte{0}
	var dynamic []elf.Dyn64
	add := func(tag elf.DynTag, s string) {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(tag), Val: uint64(len(strs))})
		strs = append(append(strs, s...), 0)
	}
	for _, name := range needed {
		add(elf.DT_NEEDED, name)
	}
	if runpath != "" {
		add(elf.DT_RUNPATH, runpath)
	}
	symbols := []elf.Sym64{{}, {Name: uint32(len(strs)), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1, Value: 64}}
	strs = append(strs, "OrtGetApiBase\x00"...)
	const header, program, section, entry, symbol = 64, 56, 64, 16, elf.Sym64Size
	at := uint64(header + 2*program) // of the dynamic table, which gets four entries more
	size := uint64(entry * (len(dynamic) + 4))
	table := at + size
	names := table + uint64(symbol*len(symbols))
	dynamic = append([]elf.Dyn64{
		{Tag: int64(elf.DT_STRTAB), Val: names},
		{Tag: int64(elf.DT_SYMTAB), Val: table},
		{Tag: int64(elf.DT_STRSZ), Val: uint64(len(strs))},
	}, append(dynamic, elf.Dyn64{Tag: int64(elf.DT_NULL)})...)
	end := names + uint64(len(strs))
	programs := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Filesz: end, Memsz: end, Align: 4096},
		{Type: uint32(elf.PT_DYNAMIC), Flags: uint32(elf.PF_R), Off: at, Vaddr: at, Paddr: at, Filesz: size, Memsz: size, Align: 8},
	}
	sections := []elf.Section64{
		{},
		{Type: uint32(elf.SHT_STRTAB), Addr: names, Off: names, Size: uint64(len(strs)), Addralign: 1},
		{Type: uint32(elf.SHT_DYNAMIC), Addr: at, Off: at, Size: size, Link: 1, Addralign: 8, Entsize: entry},
		{Type: uint32(elf.SHT_DYNSYM), Addr: table, Off: table, Size: uint64(symbol * len(symbols)), Link: 1, Info: 1, Addralign: 8, Entsize: symbol},
	}
	h := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(machine[goruntime.GOARCH]), Version: uint32(elf.EV_CURRENT), Ehsize: header,
		Phoff: header, Phentsize: program, Phnum: uint16(len(programs)),
		Shoff: end, Shentsize: section, Shnum: uint16(len(sections)), Shstrndx: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)

	var b bytes.Buffer
	for _, part := range []any{h, programs, dynamic, symbols, strs, sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			panic(err) // the types above are of fixed size
		}
	}
	return b.Bytes()
}

// Write writes such a file and returns its path.
func Write(t *testing.T, dir, name, runpath string, needed ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, File(needed, runpath), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
