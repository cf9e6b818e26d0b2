package sharedlib

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	goruntime "runtime"
	"strings"
	"testing"
)

// machoFile returns a Mach-O file of one segment.
func machoFile(cpu macho.Cpu, kind macho.Type, offset, size uint64) []byte {
	var b bytes.Buffer
	put := func(x any) { _ = binary.Write(&b, binary.LittleEndian, x) } // a buffer takes all
	put(macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, Type: kind, Ncmd: 1, Cmdsz: 72})
	put(uint32(0)) // reserved
	put(macho.Segment64{Cmd: macho.LoadCmdSegment64, Len: 72, Name: [16]byte{'T'}, Memsz: size, Offset: offset, Filesz: size})
	return append(b.Bytes(), make([]byte, 40)...)
}

// universal returns a file with a part for each processor.
func universal(parts map[macho.Cpu][]byte) []byte {
	var b bytes.Buffer
	put := func(x any) { _ = binary.Write(&b, binary.BigEndian, x) }
	put(macho.MagicFat)
	put(uint32(len(parts)))
	at := 8 + 20*len(parts)
	var bodies []byte
	for cpu, part := range parts {
		put(macho.FatArchHeader{Cpu: cpu, Offset: uint32(at + len(bodies)), Size: uint32(len(part))})
		bodies = append(bodies, part...)
	}
	return append(b.Bytes(), bodies...)
}

// A Mach-O file must be a whole library for this processor, and so must the part
// of a universal file that would be loaded.
func TestCheckMachO(t *testing.T) {
	own, known := machoProcessors[goruntime.GOARCH]
	if !known {
		t.Skip("macOS does not run on " + goruntime.GOARCH)
	}
	other := macho.CpuPpc64
	good := machoFile(own, macho.TypeDylib, 0, 100)
	for name, c := range map[string]struct {
		file []byte
		want string // part of the error; empty if it is accepted
	}{
		"a library":                  {good, ""},
		"cut":                        {good[:110], ""}, // after the segment
		"cut in its segment":         {good[:99], "damaged"},
		"a segment beyond the end":   {machoFile(own, macho.TypeDylib, 100, 100), "it is truncated"},
		"a size of 2^64-1":           {machoFile(own, macho.TypeDylib, 10, 1<<64-1), "truncated or damaged"},
		"another processor":          {machoFile(other, macho.TypeDylib, 0, 100), "another processor"},
		"a program":                  {machoFile(own, macho.TypeExec, 0, 100), "not a shared library"},
		"no such file":               {[]byte("cafe"), "damaged"},
		"universal":                  {universal(map[macho.Cpu][]byte{own: good, other: machoFile(other, macho.TypeDylib, 0, 100)}), ""},
		"universal, for others":      {universal(map[macho.Cpu][]byte{other: machoFile(other, macho.TypeDylib, 0, 100)}), "other processors"},
		"universal, cut":             {universal(map[macho.Cpu][]byte{own: good})[:130], "truncated"},
		"universal, its part is cut": {universal(map[macho.Cpu][]byte{own: machoFile(own, macho.TypeDylib, 100, 100)}), "it is truncated"},
	} {
		err := checkMachO(nil, bytes.NewReader(c.file), int64(len(c.file)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
