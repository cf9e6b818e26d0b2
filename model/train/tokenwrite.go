package train

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/tokens"
)

// Tokens is a token file to be written.
type Tokens struct {
	Paths     []string // files, folders, patterns and Stdin, as ReadText takes them
	Reading   Reading  // Limit bounds a file that is not JSON Lines: it is read whole
	Tokenizer *tokens.Tokenizer
	End       *int64                  // ends each document; nil: nothing does
	Progress  func(done, total int64) // bytes of the files read, and of all; may be nil
}

// TokensWritten describes a token file.
type TokensWritten struct {
	Files     int
	Documents int
	IDs       int
	Bytes     int64  // of text
	SHA256    string // of the ids
	Resumed   bool   // an earlier call that was interrupted had begun
}

// Names of what is kept beside an unfinished token file.
const (
	partIDs       = ".partial"
	partDocuments = ".partial.documents"
	partState     = ".partial.json"
)

// saveBytes is the number of bytes of text after which the place is saved.
const saveBytes = 32 << 20

// tokenState is how far an unfinished token file is.
type tokenState struct {
	Key       string `json:"key"`       // hash of what it is made from
	File      int    `json:"file"`      // files done
	Line      int    `json:"line"`      // lines of the next one done
	IDs       int    `json:"ids"`       // written
	Documents int    `json:"documents"` // written
	Rows      int    `json:"rows"`      // for them
	Prompts   bool   `json:"prompts"`   // some document has one
	Bytes     int64  `json:"bytes"`     // of text
}

// tokenWriter writes the ids to a file beside the token file, whose header
// contains their number and hash.
type tokenWriter struct {
	Tokens
	path      string
	width     int
	state     tokenState
	files     []textFile
	total     int64
	done      int64 // bytes of the files before the current one
	read      int64 // bytes of the current one
	saved     int64 // bytes of text when the place was saved
	ids       *os.File
	documents *os.File
	idsTo     *bufio.Writer
	docsTo    *bufio.Writer
}

// Write writes a token file. It reads one document after the other. If it is
// interrupted, what is done stays beside path, and the next call with the same
// files and tokenizer continues there.
func (k Tokens) Write(ctx context.Context, path string) (*TokensWritten, error) {
	w := &tokenWriter{Tokens: k, path: path, width: 2}
	if k.Tokenizer.VocabSize() > math.MaxUint16+1 {
		w.width = 4
	}
	how := k.Reading
	how.Limit = math.MaxInt64 // of all files: they are not in memory together
	var err error
	if w.files, err = listFiles(ctx, k.Paths, how); err != nil {
		return nil, err
	}
	resumed, err := w.open()
	if err == nil {
		err = w.tokenize(ctx)
	}
	err = errors.Join(err, w.close())
	if err != nil {
		return nil, err
	}
	if w.state.IDs == 0 {
		w.remove()
		return nil, fmt.Errorf("the text is empty")
	}
	sum, err := w.finish()
	if err != nil {
		return nil, err
	}
	w.remove()
	return &TokensWritten{Files: len(w.files), Documents: w.state.Documents, IDs: w.state.IDs, Bytes: w.state.Bytes, SHA256: sum, Resumed: resumed}, nil
}

// key identifies what the ids are made from.
func (w *tokenWriter) key() (string, error) {
	by, err := w.Tokenizer.MarshalJSON()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%x %v %v %d", sha256.Sum256(by), w.Reading.Fields, w.Reading.Ended, w.width)
	if w.End != nil {
		fmt.Fprint(h, " end ", *w.End)
	}
	for _, f := range w.files {
		if f.stream {
			return "", nil // it cannot be read again
		}
		info, err := os.Stat(f.path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "\n%q %d %d", f.path, f.size, info.ModTime().UnixNano())
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// open opens the files beside the token file, at the place where an earlier call
// was interrupted.
func (w *tokenWriter) open() (resumed bool, err error) {
	key, err := w.key()
	if err != nil {
		return false, err
	}
	w.state = tokenState{Key: key}
	var old tokenState
	if text, err := os.ReadFile(w.path + partState); err == nil && key != "" {
		resumed = json.Unmarshal(text, &old) == nil && old.Key == key && old.File <= len(w.files) && min(old.File, old.Line, old.IDs, old.Documents, old.Rows) >= 0 && old.Documents <= old.Rows
	}
	at := func(suffix string, size int64) (*os.File, error) {
		f, err := os.OpenFile(w.path+suffix, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err != nil || info.Size() < size { // its end never reached the disk
			return nil, errors.Join(err, f.Close(), errShort)
		}
		_, err = f.Seek(size, io.SeekStart)
		return f, errors.Join(f.Truncate(size), err)
	}
	if resumed {
		w.ids, err = at(partIDs, int64(old.IDs)*int64(w.width))
		if err == nil {
			w.documents, err = at(partDocuments, int64(old.Rows)*documentLength)
		}
		if err == nil {
			w.state = old
		}
	}
	if !resumed || errors.Is(err, errShort) {
		resumed = false
		w.close()
		if w.ids, err = at(partIDs, 0); err == nil {
			w.documents, err = at(partDocuments, 0)
		}
	}
	if err != nil {
		return false, err
	}
	w.idsTo, w.docsTo = bufio.NewWriterSize(w.ids, 1<<20), bufio.NewWriterSize(w.documents, 1<<16)
	w.saved = w.state.Bytes
	return resumed, nil
}

var errShort = errors.New("the file is shorter than it was")

// close closes the files beside the token file.
func (w *tokenWriter) close() error {
	var err error
	if w.ids != nil {
		err = w.ids.Close()
	}
	if w.documents != nil {
		err = errors.Join(err, w.documents.Close())
	}
	return err
}

// remove removes the files beside the token file.
func (w *tokenWriter) remove() {
	for _, suffix := range []string{partIDs, partDocuments, partState} {
		os.Remove(w.path + suffix)
	}
}

// save saves the place.
func (w *tokenWriter) save() error {
	if err := errors.Join(w.idsTo.Flush(), w.docsTo.Flush()); err != nil {
		return err
	}
	w.saved = w.state.Bytes
	if w.state.Key == "" {
		return nil
	}
	if err := errors.Join(w.ids.Sync(), w.documents.Sync()); err != nil {
		return err
	}
	return store.Save(w.path+partState, func(to io.Writer) error { return json.NewEncoder(to).Encode(w.state) })
}

func (w *tokenWriter) tokenize(ctx context.Context) error {
	for _, f := range w.files {
		w.total += f.size
	}
	for i, f := range w.files {
		if i >= w.state.File {
			if err := w.file(ctx, f); err != nil {
				if w.state.Key != "" && ctx.Err() != nil {
					err = errors.Join(err, w.save())
				}
				return err
			}
			w.state.File, w.state.Line = i+1, 0
		}
		w.done, w.read = w.done+f.size, 0
	}
	return w.save()
}

// file tokenizes a file.
func (w *tokenWriter) file(ctx context.Context, f textFile) error {
	if w.Reading.Fields && namedJSONLines(f.path) {
		return w.lines(ctx, f)
	}
	var text strings.Builder
	if err := readInto(ctx, &text, io.Discard, f, w.Reading); err != nil {
		return err
	}
	if i := notText(text.String()); i >= 0 {
		return &NotTextError{f.path, fmt.Sprintf("it is not UTF-8 text at byte %d: convert it", i)}
	}
	return w.document(ctx, passage{text: text.String(), whole: true})
}

// lines tokenizes a file of JSON Lines.
func (w *tokenWriter) lines(ctx context.Context, f textFile) error {
	from := w.Reading.Stdin
	if !f.stdin {
		file, err := os.Open(f.path)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	text, end, err := decompress(&counted{from, &w.read})
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	defer end()
	rows := bufio.NewScanner(text)
	rows.Buffer(make([]byte, 1<<16), maxLine)
	for n := 1; rows.Scan(); n++ {
		if n <= w.state.Line {
			continue
		}
		row := rows.Text()
		if i := notText(row); i >= 0 {
			return &NotTextError{f.path, fmt.Sprintf("it is not UTF-8 text in line %d: convert it", n)}
		}
		var failed error
		err := documents(row+"\n", w.Reading.Chat, func(p passage) { failed = w.document(ctx, p) })
		if err != nil {
			return fmt.Errorf("%s: line %d%s", f.path, n, strings.TrimPrefix(err.Error(), "line 1"))
		}
		if failed != nil {
			return failed
		}
		w.state.Line = n
		if w.state.Bytes-w.saved >= saveBytes {
			if err := w.save(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// counted counts the bytes read.
type counted struct {
	io.Reader
	n *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// document writes the ids of a document.
func (w *tokenWriter) document(ctx context.Context, p passage) error {
	before := w.state.IDs
	text := p.ended(w.Reading)
	write := func(text string) error {
		for ids := range w.Tokenizer.EncodeSeq(text) {
			if err := ctx.Err(); err != nil {
				w.state.IDs = before // the document is not whole
				return err
			}
			w.put(ids...)
		}
		return nil
	}
	var rows []byte
	parts := p.document(0).split(text)
	for i := 0; i < len(parts); i += 2 {
		from := w.state.IDs
		if err := write(parts[i]); err != nil {
			return err
		}
		given := w.state.IDs - from
		if i+1 < len(parts) {
			if err := write(parts[i+1]); err != nil {
				return err
			}
		}
		if w.End != nil && !p.chat {
			w.put(*w.End)
		}
		n := w.state.IDs - from
		if n >= goesOn {
			return fmt.Errorf("a document has %d tokens, the limit is below %d", n, goesOn)
		}
		w.state.Prompts = w.state.Prompts || given > 0
		if i > 0 {
			given |= goesOn
		}
		rows = binary.LittleEndian.AppendUint32(rows, uint32(n))
		rows = binary.LittleEndian.AppendUint32(rows, uint32(given))
	}
	_, _ = w.docsTo.Write(rows) // Flush returns the error
	w.state.Documents++
	w.state.Rows += len(rows) / documentLength
	w.state.Bytes += int64(len(text))
	if w.Progress != nil {
		w.Progress(w.done+w.read, w.total)
	}
	return nil
}

// put writes ids.
func (w *tokenWriter) put(ids ...int64) {
	for _, id := range ids {
		b := binary.LittleEndian.AppendUint32(w.idsTo.AvailableBuffer(), uint32(id))
		_, _ = w.idsTo.Write(b[:len(b)-4+w.width]) // Flush returns the error
	}
	w.state.IDs += len(ids)
}

// finish writes the token file from the files beside it, and returns the hash of
// the ids.
func (w *tokenWriter) finish() (string, error) {
	by, err := w.Tokenizer.MarshalJSON()
	if err != nil {
		return "", err
	}
	ids, err := os.Open(w.path + partIDs)
	if err != nil {
		return "", err
	}
	defer ids.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, ids); err != nil {
		return "", err
	}
	if _, err := ids.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	documents, err := os.Open(w.path + partDocuments)
	if err != nil {
		return "", err
	}
	defer documents.Close()
	sum := fmt.Sprintf("%x", hash.Sum(nil))
	h := format.Header{
		Metadata: map[string]string{tokensVersion: "1", tokensSum: sum, tokensBy: string(by)},
		Tensors:  []format.TensorInfo{{Name: idsName, DType: format.Uint16, Shape: []int{w.state.IDs}}},
	}
	if w.width == 4 {
		h.Tensors[0].DType = format.Uint32
	}
	if w.state.Prompts {
		h.Tensors = append(h.Tensors, format.TensorInfo{Name: documentsName, DType: format.Uint32, Shape: []int{w.state.Rows, 2}})
	}
	return sum, store.Save(w.path, func(to io.Writer) error {
		file := format.NewWriter(to, h)
		file.Copy(ids)
		if w.state.Prompts {
			file.Copy(documents)
		}
		return file.Close()
	})
}
