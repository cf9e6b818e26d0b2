package train

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// Source records where the text of a run is, so that a resumed run finds it.
// It is not stored in checkpoints: equal runs give equal files, wherever their
// text is.
type Source struct {
	Paths []string `json:"paths"` // files and folders, absolute, in order
	Glob  string   `json:"glob"`  // pattern for names of files in folders
	Files int      `json:"files"` // number of files read
	Bytes int64    `json:"bytes"` // total size

	Pairs  bool   `json:"pairs,omitempty"`  // the files hold parallel texts
	Target string `json:"target,omitempty"` // of pairs: the file with the translation of each line

	Text int64 `json:"text,omitempty"` // bytes of the text, if files are compressed; 0: as many

	Val *Source `json:"val,omitempty"` // where the data for validation are; nil: they are a part of these
}

// Text is a text in memory.
type Text struct {
	Text      string
	SHA256    string
	Names     []string   // of the files it was read from, in order
	JSONLines []string   // the subset with a JSON object on each line, learned as it is written
	Documents []Document // parts that are not learned across their ends; nil: the text is one
	Source    *Source    // nil if the text cannot be read again, because it came through a pipe

	fields bool // some files are JSON Lines
	size   int  // bytes read, which are more than those of the text where it has documents
}

// String describes the size of the text and its files.
func (t *Text) String() string {
	unit := "files"
	if len(t.Names) == 1 {
		unit = "file"
	}
	return fmt.Sprintf("%d %s, %s bytes: %s", len(t.Names), unit, quote.Count(len(t.Text)), quote.Paths(t.Names))
}

// Stdin is the path for standard input.
const Stdin = "-"

// MaxSource bounds the JSON of a Source, in bytes.
const MaxSource = 1 << 20

// ParseSource reads the JSON of a Source, and rejects one that ReadText does
// not write.
func ParseSource(text []byte) (*Source, error) {
	if len(text) > MaxSource {
		return nil, fmt.Errorf("train: the place of a text takes %d bytes, at most %d", len(text), MaxSource)
	}
	s := &Source{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("train: the place of the text: %w", err)
	}
	return s, s.check()
}

// Reading are the options of ReadText.
type Reading struct {
	Glob  string    // pattern for names of files in folders, as in filepath.Match
	Skip  string    // a folder to skip inside folders, such as that of the run; "" for none
	Stdin io.Reader // the reader for Stdin
	Name  string    // of Stdin in messages; "" is "standard input"
	Limit int64     // maximum size of the text in bytes

	// Fields has a file named .jsonl or .ndjson read as JSON Lines: an object on
	// each line, with text, or prompt and completion, or messages. Any other member
	// is ignored. Otherwise such files are texts like others.
	Fields bool
	Chat   Chat // renders messages; nil: they are refused
	Ended  bool // documents end with a newline: their tokenizer has no token for an end
}

// ReadText reads and concatenates the texts of files, of files below folders,
// of pipes, and of standard input for the path Stdin. A path that does not exist
// may be a pattern for paths, as in filepath.Glob. It keeps the order of paths,
// and sorts files of a folder and of a pattern by path. It skips links in folders.
// It decompresses gzip and zstd. Text above the limit or not in UTF-8 is an error.
func ReadText(ctx context.Context, paths []string, r Reading) (*Text, error) {
	files, err := listFiles(ctx, paths, r)
	if err != nil {
		return nil, err
	}
	t, err := readFiles(ctx, files, r)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(t.Text) == "" {
		return nil, fmt.Errorf("%s: the text is empty", strings.Join(t.Names, ", "))
	}
	t.Source = sourceOf(paths, r.Glob, files, t.size)
	return t, nil
}

// Read reads the text again. A *MovedError reports that it is missing or has
// changed. Read opens no pipes and devices, because the source may come from
// someone else's folder. Of how, Skip, Fields, Chat and Ended count.
func (s *Source) Read(ctx context.Context, how Reading) (*Text, error) {
	moved := func(reason string) error { return &MovedError{Paths: s.Paths, Reason: reason} }
	files, err := listFiles(ctx, s.Paths, Reading{Glob: s.Glob, Skip: how.Skip, Limit: math.MaxInt64})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, moved(reason(err))
	}
	size := int64(0)
	for _, f := range files {
		if f.stream {
			return nil, moved("it is not a regular file")
		}
		size += f.size
	}
	if len(files) != s.Files || size != s.Bytes {
		return nil, moved(fmt.Sprintf("there are %d bytes in %d files, but there were %d in %d", size, len(files), s.Bytes, s.Files))
	}
	t, err := readFiles(ctx, files, Reading{Limit: cmp.Or(s.Text, s.Bytes), Fields: how.Fields, Chat: how.Chat, Ended: how.Ended})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, moved(reason(err))
	}
	t.Source = s
	return t, nil
}

// MovedError reports that the text of a run is not where it was.
type MovedError struct {
	Paths  []string
	Reason string
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("the text at %s has moved or changed: %s", strings.Join(e.Paths, ", "), e.Reason)
}

// NotTextError says that a file is not a text.
type NotTextError struct{ File, Reason string }

func (e *NotTextError) Error() string { return e.File + ": " + e.Reason + ", or leave it out" }

// reason says on one line why a text could not be read.
func reason(err error) string {
	if path := new(fs.PathError); errors.As(err, &path) && errors.Is(err, fs.ErrNotExist) {
		return path.Path + " does not exist"
	}
	return err.Error()
}

// SourceAt is the place of a token file of a number of bytes; nil if the path
// cannot be kept.
func SourceAt(path string, bytes int64) *Source {
	return sourceOf([]string{path}, "*", []textFile{{path: path, size: bytes}}, int(bytes))
}

// check rejects a source that ReadText does not write.
func (s *Source) check() error {
	if len(s.Paths) == 0 || s.Files < 1 || s.Bytes < 1 || s.Text < 0 {
		return fmt.Errorf("train: the text has %d paths, %d files and %d bytes: each must be 1 or more", len(s.Paths), s.Files, s.Bytes)
	}
	for _, p := range s.Paths {
		if !filepath.IsAbs(p) || !plain(p) {
			return fmt.Errorf("train: %.100q, a path of the text, is not absolute", p)
		}
	}
	if _, err := filepath.Match(s.Glob, ""); err != nil || !plain(s.Glob) {
		return fmt.Errorf("train: %.100q, which names the files of the text, is not a pattern", s.Glob)
	}
	if s.Val != nil && s.Val.Val != nil {
		return fmt.Errorf("train: the data for validation have others for theirs")
	}
	if s.Val != nil {
		return s.Val.check()
	}
	return nil
}

// plain reports whether a path can be stored in JSON and printed on one line.
func plain(path string) bool {
	return utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) })
}

// sourceOf returns where files were read from, or nil if they cannot be read
// again.
func sourceOf(paths []string, glob string, files []textFile, size int) *Source {
	s := &Source{Glob: glob, Files: len(files)}
	for _, f := range files {
		if f.stream {
			return nil
		}
		s.Bytes += f.size
	}
	if s.Bytes != int64(size) {
		s.Text = int64(size)
	}
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil
		}
		s.Paths = append(s.Paths, abs)
	}
	if s.check() != nil {
		return nil
	}
	return s
}

// textFile is a file to read.
type textFile struct {
	path   string
	size   int64
	stream bool // a pipe or a device, which has no size and can be read only once
	stdin  bool
}

// listFiles finds the files to read. It stops once their size exceeds the
// limit.
func listFiles(ctx context.Context, paths []string, r Reading) (files []textFile, err error) {
	if _, err := filepath.Match(r.Glob, ""); err != nil {
		return nil, fmt.Errorf("pattern %.80q: %w", r.Glob, err)
	}
	total := int64(0)
	add := func(path string, info fs.FileInfo) error {
		if total += info.Size(); total > r.Limit {
			return tooLarge(path, r.Limit)
		}
		files = append(files, textFile{path: path, size: info.Size()})
		return nil
	}
	standard, name := 0, cmp.Or(r.Name, "standard input")
	for _, path := range paths {
		if path == Stdin {
			if standard++; standard > 1 {
				return nil, fmt.Errorf("%s is named twice, but can be read only once", name)
			}
			files = append(files, textFile{path: name, stream: true, stdin: true})
			continue
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(path, `*?[`) {
			if err := matching(path, add); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			before := len(files)
			if err := walk(ctx, path, r, add); err != nil {
				return nil, err
			}
			if len(files) == before {
				return nil, fmt.Errorf("%s: no file below it matches %.80q", path, r.Glob)
			}
		case info.Mode().IsRegular():
			if err := add(path, info); err != nil {
				return nil, err
			}
		default:
			files = append(files, textFile{path: path, stream: true})
		}
	}
	return files, nil
}

// matching calls add for the regular files that match a pattern.
func matching(pattern string, add func(string, fs.FileInfo) error) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("pattern %.80q: %w", pattern, err)
	}
	found := false
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			found = true
			if err := add(path, info); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("%s: no file matches this pattern", pattern)
	}
	return nil
}

// walk calls add for the regular files below a folder. The folder itself may
// be a link.
func walk(ctx context.Context, folder string, r Reading, add func(string, fs.FileInfo) error) error {
	skip, err := os.Stat(r.Skip)
	if err != nil {
		skip = nil // does not exist
	}
	root := folder
	if info, err := os.Lstat(folder); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		root += string(filepath.Separator) // resolves the link
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		ok, _ := filepath.Match(r.Glob, d.Name())
		if !d.IsDir() && !(ok && d.Type().IsRegular()) {
			return nil
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return add(p, info)
		case p != root && skip != nil && os.SameFile(info, skip):
			return fs.SkipDir
		}
		return nil
	})
}

func tooLarge(path string, limit int64) error {
	return fmt.Errorf("%s: the text has more than %.2f GB, the most that fits in memory: give less of it", path, float64(limit)/1e9)
}

// readFiles reads files in order.
func readFiles(ctx context.Context, files []textFile, r Reading) (*Text, error) {
	size := int64(0)
	for _, f := range files {
		size += f.size
	}
	var text strings.Builder
	text.Grow(int(size))
	t := &Text{}
	hash := sha256.New()
	for _, f := range files {
		if r.Fields && namedJSONLines(f.path) {
			if err := t.readLines(ctx, &text, hash, f, r); err != nil {
				return nil, err
			}
			continue
		}
		from := text.Len()
		if err := readInto(ctx, &text, hash, f, r); err != nil {
			return nil, err
		}
		t.size += text.Len() - from
		t.end(text.Len(), passage{})
		part := text.String()[from:]
		if format.IsLFSPointer([]byte(part[:min(len(part), format.MaxLFSPointer)])) {
			return nil, fmt.Errorf("%s: %s", f.path, format.LFSPointer)
		}
		if i := notText(part); i >= 0 {
			return nil, &NotTextError{f.path, fmt.Sprintf("it is not UTF-8 text at byte %d: convert it", i)}
		}
		t.Names = append(t.Names, f.path)
		if isJSONLines(part) {
			t.JSONLines = append(t.JSONLines, f.path)
		}
	}
	t.Text, t.SHA256 = text.String(), fmt.Sprintf("%x", hash.Sum(nil))
	if !t.fields {
		t.Documents = nil
	}
	return t, nil
}

// readFile copies a file to w, up to the limit on it and the text before it.
func readFile(ctx context.Context, f textFile, how Reading, w io.Writer, before int) error {
	r := how.Stdin
	if !f.stdin {
		file, err := os.Open(f.path)
		if err != nil {
			return err
		}
		defer file.Close()
		r = file
	}
	r, end, err := decompress(r)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	defer end()
	piece := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(piece)
		if before += n; int64(before) > how.Limit {
			return tooLarge(f.path, how.Limit)
		}
		if i := bytes.IndexByte(piece[:n], 0); i >= 0 {
			return &NotTextError{f.path, "it holds a zero byte, so it is not text"}
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if errors.As(err, new(*archiveError)) {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if err != nil {
			return err
		}
	}
}

// notText returns the offset of the first invalid UTF-8 byte, or -1.
func notText(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	at := 0
	for {
		r, n := utf8.DecodeRuneInString(s[at:])
		if r == utf8.RuneError && n < 2 {
			return at
		}
		at += n
	}
}

// isJSONLines reports whether the first two lines of a text are JSON objects.
func isJSONLines(text string) bool {
	const longest = 1 << 20 // maximum bytes of a line to check
	objects := 0
	for line := range strings.Lines(text[:min(len(text), 2*longest)]) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if line[0] != '{' || !json.Valid([]byte(line)) {
			return false
		}
		if objects++; objects == 2 {
			return true
		}
	}
	return false
}
