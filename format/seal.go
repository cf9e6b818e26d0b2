package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// Constants of the seal.
const (
	sealMagic   = "ATTNXSEA"
	footerMagic = "ATTNXEND"
	sealVersion = 1
	chunkLog2   = 20
	chunkSize   = 1 << chunkLog2 // bytes under one CRC-32C
	sealHead    = 104            // bytes before the first tensor's sums
	footerSize  = 64
)

// Metadata names that belong to the format.
const (
	metaVersion  = "attnx.version"
	metaRequires = "attnx.requires"
	metaOptional = "attnx.optional"
	fileVersion  = "1"
	featureSeal  = "seal"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// String returns d in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Seal identifies a sealed file.
type Seal struct {
	Root      Digest // identifies every byte of the file
	ContentID Digest // identifies tensors and metadata, independent of their layout
}

// sums holds the checksums of one tensor.
type sums struct {
	sha256 Digest
	crc32c []uint32 // by chunk
}

// sum computes both checksums in one pass over the data.
func sum(data []byte) *sums {
	s := &sums{}
	h := sha256.New()
	for len(data) > 0 {
		chunk := data[:min(len(data), chunkSize)]
		data = data[len(chunk):]
		h.Write(chunk)
		s.crc32c = append(s.crc32c, crc32.Checksum(chunk, castagnoli))
	}
	h.Sum(s.sha256[:0])
	return s
}

// chunks returns the number of chunks of a tensor of size bytes.
func chunks(size int64) int { return int((size + chunkSize - 1) / chunkSize) }

// sealSize returns the size of the seal of a file with these tensors.
func sealSize(tensors []TensorInfo) int {
	n := sealHead + footerSize
	for _, t := range tensors {
		size, _ := t.bytes()
		n += sha256.Size + 4*chunks(size)
	}
	return n
}

// encodeSeal returns the seal and its root, for a file of the given length
// that starts with head.
func encodeSeal(head []byte, fileSize int64, content Digest, tensors []*sums) ([]byte, Digest) {
	le := binary.LittleEndian
	headSum := sha256.Sum256(head)
	b := []byte(sealMagic)
	b = le.AppendUint32(b, sealVersion)
	b = le.AppendUint32(b, chunkLog2)
	b = le.AppendUint64(b, uint64(fileSize))
	b = le.AppendUint64(b, uint64(len(head)-lengthSize))
	b = append(b, headSum[:]...)
	b = append(b, content[:]...)
	b = le.AppendUint64(b, uint64(len(tensors)))
	for _, s := range tensors {
		b = append(b, s.sha256[:]...)
		for _, c := range s.crc32c {
			b = le.AppendUint32(b, c)
		}
	}
	root := Digest(sha256.Sum256(b))
	footer := []byte(footerMagic)
	footer = le.AppendUint64(footer, uint64(fileSize))
	footer = le.AppendUint64(footer, uint64(len(b)+footerSize))
	footer = append(footer, root[:]...)
	footer = le.AppendUint32(footer, 0)
	footer = le.AppendUint32(footer, crc32.Checksum(footer, castagnoli))
	return append(b, footer...), root
}

// contentID returns the content id. The entries are those of the caller, with
// their sums.
func contentID(metadata map[string]string, entries []entry) Digest {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		if formKey(name) {
			continue
		}
		line := append(appendString([]byte("M "), name), ' ')
		h.Write(append(appendString(line, metadata[name]), '\n'))
	}
	byName := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range byName {
		line := appendString([]byte("T "), e.Name)
		line = append(line, ' ')
		line = append(line, e.DType.String()...)
		line = appendShape(append(line, ' '), e.Shape)
		h.Write(fmt.Appendf(line, " %s\n", e.sums.sha256))
	}
	return Digest(h.Sum(nil))
}

// formKey reports whether a metadata name belongs to the format and not to the
// caller.
func formKey(name string) bool {
	return name == metaVersion || name == metaRequires || name == metaOptional
}

// withForm adds the metadata names of a sealed file.
func withForm(metadata map[string]string) map[string]string {
	m := map[string]string{metaVersion: fileVersion, metaRequires: featureSeal}
	maps.Copy(m, metadata)
	return m
}

// checkFeatures rejects an unknown version or required feature.
func checkFeatures(metadata map[string]string) error {
	if v, ok := metadata[metaVersion]; ok && v != fileVersion {
		return &UnsupportedError{Offset: lengthSize, Reason: "the file is of version " + quote.String(v) + "; this version reads " + fileVersion + ": read it with a newer attnx"}
	}
	for feature := range strings.SplitSeq(metadata[metaRequires], ",") {
		if feature != "" && feature != featureSeal {
			return &UnsupportedError{Offset: lengthSize, Reason: "the file requires the feature " + quote.String(feature) + ": read it with a newer attnx"}
		}
	}
	return nil
}

// Remedies for a seal that does not match.
const (
	copyAgain = "the file is damaged, take another copy"
	resealIt  = "another tool rewrote the file; if you trust it, reseal it"
)

// mustBeSealed reports whether a file has a seal to check. It returns an error
// for a file that lost its seal: damage must not turn a sealed file into an
// unchecked one.
func mustBeSealed(r io.ReaderAt, size int64, f *Reader) (bool, error) {
	if _, has := f.index[SealName]; has {
		return true, nil
	}
	if slices.Contains(strings.Split(f.metadata[metaRequires], ","), featureSeal) {
		return false, &SealError{Tensor: SealName, Offset: -1, Reason: "the metadata ask for a seal, but the file has none: " + resealIt}
	}
	if size >= footerSize {
		var magic [len(footerMagic)]byte
		if err := readFull(r, magic[:], size-footerSize); err != nil {
			return false, err
		}
		if string(magic[:]) == footerMagic {
			return false, &SealError{Tensor: SealName, Offset: -1, Reason: "it ends like a sealed file, but has no tensor " + SealName + ": " + copyAgain}
		}
	}
	return false, nil
}

// openSeal checks the seal of a file against its header and returns the
// caller's entries with their sums. head is the start of the file; entries are
// all its tensors in data order.
func openSeal(r io.ReaderAt, size int64, head []byte, metadata map[string]string, entries []entry) ([]entry, *Seal, error) {
	last := entries[len(entries)-1]
	start := int64(len(head))
	if last.Name != SealName {
		return nil, nil, &SealError{Tensor: SealName, Offset: -1, Reason: "the seal is not the last tensor: " + resealIt}
	}
	broken := func(at int64, reason string) error {
		return &SealError{Tensor: SealName, Offset: start + last.begin + at, Reason: reason}
	}
	length := last.end - last.begin
	if last.DType != Uint8 || len(last.Shape) != 1 || length < sealHead+footerSize {
		return nil, nil, broken(0, fmt.Sprintf("%s%v is not a seal: %s", last.DType, last.Shape, copyAgain))
	}

	// The last 64 bytes reveal a truncated file.
	le := binary.LittleEndian
	var footer [footerSize]byte
	if err := readFull(r, footer[:], size-footerSize); err != nil {
		return nil, nil, err
	}
	switch at := length - footerSize; {
	case string(footer[:8]) != footerMagic:
		return nil, nil, broken(at, "the file does not end with "+footerMagic+", it was not written to its end: "+copyAgain)
	case crc32.Checksum(footer[:60], castagnoli) != le.Uint32(footer[60:]):
		return nil, nil, broken(at, "the last 64 bytes do not match their checksum: "+copyAgain)
	case le.Uint64(footer[8:]) != uint64(size):
		return nil, nil, broken(at+8, fmt.Sprintf("the file has %d bytes, but was sealed with %d: %s", size, le.Uint64(footer[8:]), resealIt))
	case le.Uint64(footer[16:]) != uint64(length) || le.Uint32(footer[56:]) != 0:
		return nil, nil, broken(at+16, fmt.Sprintf("the seal has %d bytes, but was written with %d: %s", length, le.Uint64(footer[16:]), resealIt))
	}

	var ours []entry
	var tensors []TensorInfo
	for _, e := range entries[:len(entries)-1] {
		if reserved(e.Name) { // padding
			if len(ours) > 0 {
				ours[len(ours)-1].pad = e.end - e.begin
			}
			continue
		}
		ours = append(ours, e)
		tensors = append(tensors, e.TensorInfo)
	}
	if int64(sealSize(tensors)) != length { // before allocating memory for it
		return nil, nil, broken(0, fmt.Sprintf("the seal has %d bytes, but for %d tensors it has %d: %s", length, len(ours), sealSize(tensors), resealIt))
	}
	seal := make([]byte, length)
	if err := readFull(r, seal, start+last.begin); err != nil {
		return nil, nil, err
	}
	body := seal[:length-footerSize]
	root := Digest(footer[24:56])
	headSum := sha256.Sum256(head)
	switch {
	case sha256.Sum256(body) != root:
		return nil, nil, broken(0, "the seal does not match its root hash: "+copyAgain)
	case string(body[:8]) != sealMagic:
		return nil, nil, broken(0, "the seal does not begin with "+sealMagic+": "+copyAgain)
	case le.Uint32(body[8:]) != sealVersion || le.Uint32(body[12:]) != chunkLog2:
		return nil, nil, &UnsupportedError{Tensor: SealName, Offset: start + last.begin + 8, Reason: fmt.Sprintf("a seal of version %d with chunks of 2^%d bytes: read it with a newer attnx", le.Uint32(body[8:]), le.Uint32(body[12:]))}
	case !bytes.Equal(body[32:64], headSum[:]) || le.Uint64(body[24:]) != uint64(len(head)-lengthSize):
		return nil, nil, &SealError{Tensor: SealName, Offset: 0, Reason: "the header does not match its SHA-256 in the seal: " + copyAgain}
	case le.Uint64(body[96:]) != uint64(len(ours)) || le.Uint64(body[16:]) != uint64(size):
		return nil, nil, broken(96, fmt.Sprintf("the seal is not for %d tensors in %d bytes: %s", len(ours), size, resealIt))
	}
	readSums(body, ours)
	content := Digest(body[64:])
	if contentID(metadata, ours) != content {
		return nil, nil, broken(64, "the content id does not match the tensors: "+resealIt)
	}
	if metadata[metaVersion] != fileVersion || !slices.Contains(strings.Split(metadata[metaRequires], ","), featureSeal) {
		return nil, nil, &SealError{Tensor: SealName, Offset: 0, Reason: "the metadata do not declare a seal: " + resealIt}
	}
	// The encoding is unique, so the header must equal the one that Writer
	// writes.
	if want, _, _, err := sealedLayout(metadata, tensors); err != nil || !bytes.Equal(want, head) {
		return nil, nil, &SealError{Tensor: SealName, Offset: 0, Reason: "the header is not in canonical form: " + resealIt}
	}
	return ours, &Seal{Root: root, ContentID: content}, nil
}

// readSums copies the sums of the entries, in data order, from a seal that is
// long enough.
func readSums(seal []byte, entries []entry) {
	at := sealHead
	for i := range entries {
		s := &sums{sha256: Digest(seal[at:])}
		at += sha256.Size
		for range chunks(entries[i].end - entries[i].begin) {
			s.crc32c = append(s.crc32c, binary.LittleEndian.Uint32(seal[at:]))
			at += 4
		}
		entries[i].sums = s
	}
}

// sealedLayout returns the first bytes of a sealed file, the places of its
// tensors including padding and seal, and the length of the file.
func sealedLayout(metadata map[string]string, tensors []TensorInfo) (head []byte, all []entry, size int64, err error) {
	if !slices.IsSortedFunc(tensors, func(a, b TensorInfo) int { return CompareNames(a.Name, b.Name) }) {
		return nil, nil, 0, &FormatError{Offset: -1, Reason: "the tensors are not in the order of a sealed file: weights, moments, blobs, by name"}
	}
	if all, err = place(sealedTensors(tensors)); err != nil {
		return nil, nil, 0, err
	}
	head, err = encodeHeader(metadata, all)
	return head, all, int64(len(head)) + all[len(all)-1].end, err
}
