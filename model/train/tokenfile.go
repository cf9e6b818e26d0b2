package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/tokens"
)

// A token file is a text as the ids of its tokens, for texts that do not fit into
// memory. It is a safetensors file with these tensors:
//
//	ids        (N) U16 or U32   all ids, a document after the other
//	documents  (D,2) U32        the ids of each document, and of its prompt; absent if none has a prompt.
//	                            A conversation has a row for each answer and what is given before it; goesOn
//	                            is added to the second number in all its rows but the first
//
// and this metadata:
//
//	attnx.tokens   "1", the version
//	ids.sha256     of the bytes of ids
//	tokenizer      the tokenizer.json
const (
	tokensVersion  = "attnx.tokens"
	tokensSum      = "ids.sha256"
	tokensBy       = "tokenizer"
	idsName        = "ids"
	documentsName  = "documents"
	documentLength = 8 // bytes of a row of documents
	goesOn         = 1 << 31
)

// TokenFile is an open token file.
type TokenFile struct {
	path      string
	file      *format.File
	stat      *os.File // the same file, to notice a change
	changed   time.Time
	ids       *io.SectionReader
	width     int // bytes of an id
	tokenizer *tokens.Tokenizer
	err       error // the first error of reading ids
}

// IsTokenFile reports whether a file is a token file.
func IsTokenFile(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := format.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	_, is := f.Metadata()[tokensVersion]
	return is
}

// OpenTokens opens a token file and compares its ids with their hash. It reads
// them once, and keeps none in memory.
func OpenTokens(path string) (*TokenFile, error) {
	f, err := format.Open(path)
	if err != nil {
		return nil, err
	}
	t := &TokenFile{path: path, file: f}
	if err := t.open(); err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func (t *TokenFile) open() (err error) {
	meta := t.file.Metadata()
	if v := meta[tokensVersion]; v != "1" {
		return fmt.Errorf("it is a token file of version %.20q, expected 1", v)
	}
	for _, info := range t.file.Tensors() {
		if info.Name != idsName {
			continue
		}
		if len(info.Shape) != 1 || info.DType != format.Uint16 && info.DType != format.Uint32 {
			return fmt.Errorf("its ids are %s%v, expected U16 or U32 of one dimension", info.DType, info.Shape)
		}
		t.width = info.DType.Size()
	}
	var ok bool
	if t.ids, ok = t.file.Section(idsName); !ok {
		return fmt.Errorf("it has no tensor %s", idsName)
	}
	if t.tokenizer, err = tokens.Parse([]byte(meta[tokensBy])); err != nil {
		return fmt.Errorf("its tokenizer: %w", err)
	}
	if t.stat, err = os.Open(t.path); err != nil {
		return err
	}
	info, err := t.stat.Stat()
	if err != nil {
		return err
	}
	t.changed = info.ModTime()
	sum := sha256.New()
	most := uint32(0)
	block := make([]byte, 1<<20) // whole ids
	for at := int64(0); at < t.ids.Size(); {
		n, err := t.ids.ReadAt(block, at)
		if err != nil && err != io.EOF {
			return err
		}
		if n -= n % t.width; n == 0 {
			return fmt.Errorf("its ids have %d bytes, which is no number of ids", t.ids.Size())
		}
		sum.Write(block[:n])
		most = max(most, t.largest(block[:n]))
		at += int64(n)
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != t.SHA256() {
		return fmt.Errorf("its ids have SHA-256 %.12s, its header says %.12s: write it again", got, t.SHA256())
	}
	if vocab := t.tokenizer.VocabSize(); int(most) >= vocab {
		return fmt.Errorf("token id %d is outside the vocabulary of %d", most, vocab)
	}
	return nil
}

// largest returns the largest of some ids.
func (t *TokenFile) largest(ids []byte) (most uint32) {
	if t.width == 2 {
		for i := 0; i < len(ids); i += 2 {
			most = max(most, uint32(binary.LittleEndian.Uint16(ids[i:])))
		}
		return most
	}
	for i := 0; i < len(ids); i += 4 {
		most = max(most, binary.LittleEndian.Uint32(ids[i:]))
	}
	return most
}

func (t *TokenFile) id(b []byte) uint32 {
	if t.width == 2 {
		return uint32(binary.LittleEndian.Uint16(b))
	}
	return binary.LittleEndian.Uint32(b)
}

// Close closes the file. Its data cannot be read after it.
func (t *TokenFile) Close() error {
	err := t.file.Close()
	if t.stat != nil {
		err = t.stat.Close()
	}
	return err
}

// SHA256 returns the hash of the ids.
func (t *TokenFile) SHA256() string { return t.file.Metadata()[tokensSum] }

// Tokenizer returns the tokenizer that made the ids.
func (t *TokenFile) Tokenizer() *tokens.Tokenizer { return t.tokenizer }

// Len returns the number of ids.
func (t *TokenFile) Len() int { return t.len() }

// Data returns the data of the file: if no document has a prompt, windows of
// f.Length tokens, otherwise an example for each document. The documents have their
// ends already. Batches are read from the file, which must not change meanwhile.
func (t *TokenFile) Data(f Form) (*Data, error) {
	d, err := t.data(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.path, err)
	}
	d.failed = t.failed
	return d, nil
}

func (t *TokenFile) data(f Form) (*Data, error) {
	if err := checkContext(f.Length); err != nil {
		return nil, err
	}
	rows, ok := t.file.Section(documentsName)
	if !ok {
		return newText(t, f)
	}
	if rows.Size()%documentLength != 0 {
		return nil, fmt.Errorf("its documents have %d bytes, which is no number of pairs", rows.Size())
	}
	b := &lineBuilder{form: f}
	r := bufio.NewReaderSize(rows, 1<<16)
	at, from := 0, 0
	var turns []uint32 // of the document that begins at from, with its prompt
	place := func() error {
		if len(turns) == 0 {
			return nil
		}
		more := turns[1:]
		if last := len(more) - 1; last > 0 && more[last] == 0 {
			more = more[:last] // nothing follows what is given at the end
		}
		if len(more) == 1 {
			more = nil
		}
		return b.place(from, at-from, int(turns[0]), more)
	}
	for range rows.Size() / documentLength {
		var row [documentLength]byte
		if _, err := io.ReadFull(r, row[:]); err != nil {
			return nil, err
		}
		n, prompt := int(binary.LittleEndian.Uint32(row[:])), int(binary.LittleEndian.Uint32(row[4:]))
		more := prompt >= goesOn && len(turns) > 0
		if more {
			prompt -= goesOn
		}
		if n > t.len()-at || prompt > n {
			return nil, fmt.Errorf("document %d has %d ids and a prompt of %d, %d are left", b.sequences+1, n, prompt, t.len()-at)
		}
		if !more {
			if err := place(); err != nil {
				return nil, err
			}
			from, turns = at, nil
		}
		turns = append(turns, uint32(prompt), uint32(n-prompt))
		at += n
	}
	if err := place(); err != nil {
		return nil, err
	}
	if at != t.len() {
		return nil, fmt.Errorf("its documents have %d ids, the file has %d", at, t.len())
	}
	b.ids = t
	return b.data()
}

// failed returns the first error of reading, or that the file has changed.
func (t *TokenFile) failed() error {
	if t.err == nil || errors.Is(t.err, io.EOF) || errors.Is(t.err, io.ErrUnexpectedEOF) { // cut
		info, err := t.stat.Stat()
		switch {
		case err != nil:
			t.err = err
		case !info.ModTime().Equal(t.changed):
			t.err = errors.New("it has changed while the run reads it: put it back as it was, and resume the run")
		}
	}
	if t.err != nil {
		return fmt.Errorf("%s: %w", t.path, t.err)
	}
	return nil
}

func (t *TokenFile) len() int { return int(t.ids.Size()) / t.width }

func (t *TokenFile) add([]int64) error { return fmt.Errorf("train: a token file is only read") }

func (t *TokenFile) read(from int, into []int64) {
	b := make([]byte, len(into)*t.width)
	if _, err := t.ids.ReadAt(b, int64(from)*int64(t.width)); err != nil && t.err == nil {
		t.err = err
	}
	for i := range into {
		into[i] = int64(t.id(b[i*t.width:]))
	}
}
