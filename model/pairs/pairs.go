// Package pairs reads parallel texts: sentences with their translations, from files of
// tab-separated columns, JSON Lines, gettext's catalogues (.po and .mo), two files with
// a sentence a line, and folders of these. It knows no models and no tokens.
package pairs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
)

// Pair is a text with its translation.
type Pair struct{ Source, Target string }

// Counts are what was found in files, and what of it is no pair.
type Counts struct {
	Files        int `json:"files"`
	Pairs        int `json:"pairs"`        // that were kept
	Empty        int `json:"empty"`        // one side is empty, such as an untranslated message
	Fuzzy        int `json:"fuzzy"`        // catalogues: messages that nobody has reviewed
	Obsolete     int `json:"obsolete"`     // catalogues: messages that are no longer used
	Repeated     int `json:"repeated"`     // the same pair once more
	Contexts     int `json:"contexts"`     // catalogues: kept messages that have a context, which is not part of the text
	Plurals      int `json:"plurals"`      // catalogues: kept pairs that are forms for a number
	Untranslated int `json:"untranslated"` // both sides are the same text, and are kept
}

// Corpus are pairs that were read.
type Corpus struct {
	Pairs []Pair
	Counts
	Paths []string // the files, in order
	Bytes int64    // of all files
}

// Error reports a file that cannot be read as pairs.
type Error struct {
	Path   string
	Line   int // 0: not in a line
	Reason string
	Do     string // remedy, may be empty
}

func (e *Error) Error() string {
	s := e.Path
	if e.Line > 0 {
		s += fmt.Sprintf(": line %d", e.Line)
	}
	s += ": " + e.Reason
	if e.Do != "" {
		s += ": " + e.Do
	}
	return s
}

// Remedy returns what to do about it.
func (e *Error) Remedy() string { return e.Do }

// Extensions are the ends of the names of files that Read reads.
var Extensions = []string{".tsv", ".jsonl", ".ndjson", ".po", ".mo"}

// readers read a file by the end of its name.
var readers = map[string]func(c *collector, data []byte) error{
	".tsv": readTSV, ".jsonl": readJSONL, ".ndjson": readJSONL, ".po": readPO, ".mo": readMO,
}

// Read reads files, and all files below folders whose names match glob and have one of
// Extensions. Pairs with an empty side and repetitions are left out and counted.
func Read(ctx context.Context, paths []string, glob string) (*Corpus, error) {
	c := newCollector()
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir():
			if err := c.file(path); err != nil {
				return nil, err
			}
			continue
		}
		before := c.Files
		err = filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if err := errors.Join(err, ctx.Err()); err != nil || d.IsDir() {
				return err
			}
			if ok, err := filepath.Match(glob, d.Name()); !ok || err != nil || readers[extension(path)] == nil {
				return err
			}
			return c.file(path)
		})
		if err != nil {
			return nil, err
		}
		if c.Files == before {
			return nil, &Error{Path: path, Reason: fmt.Sprintf("no file that matches %.80q has a name that ends in %s", glob, strings.Join(Extensions, ", ")), Do: "name other files, or another pattern"}
		}
	}
	return c.done()
}

// Parse is Read for the bytes of one file, whose name says the format.
func Parse(name string, data []byte) (*Corpus, error) {
	read := readers[extension(name)]
	if read == nil {
		return nil, unknown(name)
	}
	c := newCollector()
	c.begin(name, data)
	if err := read(c, data); err != nil {
		return nil, err
	}
	return c.done()
}

func unknown(path string) error {
	return &Error{Path: path, Reason: "the end of its name says no format of pairs", Do: "name it with one of " + strings.Join(Extensions, ", ")}
}

// ReadLines reads two files in which line n of the one is the translation of line n of
// the other.
func ReadLines(source, target string) (*Corpus, error) {
	c := newCollector()
	var sides [2][]string
	for i, path := range []string{source, target} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c.begin(path, data)
		if err := c.checkText(data); err != nil {
			return nil, err
		}
		sides[i] = strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), "\n")
	}
	if a, b := len(sides[0]), len(sides[1]); a != b {
		return nil, &Error{Path: target, Reason: fmt.Sprintf("it has %d lines, %s has %d", b, source, a), Do: "each line of the one must be the translation of the same line of the other"}
	}
	for i, s := range sides[0] {
		c.add(s, sides[1][i])
	}
	return c.done()
}

// collector collects the pairs of files.
type collector struct {
	Corpus
	seen map[Pair]bool
	path string
	// latin is set for a catalogue in ISO 8859-1 or -15: what is replaced after its bytes
	// became characters.
	latin *strings.Replacer
}

func newCollector() *collector { return &collector{seen: map[Pair]bool{}} }

func (c *collector) begin(path string, data []byte) {
	c.Bytes += int64(len(data))
	c.path, c.latin = path, nil
	c.Files++
	c.Paths = append(c.Paths, path)
}

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

// file reads one file.
func (c *collector) file(path string) error {
	read := readers[extension(path)]
	if read == nil {
		return unknown(path)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return cmp.Or(err, error(&Error{Path: path, Reason: "it is no regular file", Do: "name a file or a folder"}))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c.begin(path, data)
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return c.fail(0, "it is UTF-16", "convert it with iconv -f UTF-16 -t UTF-8")
	}
	return read(c, data)
}

// fail returns an error about the file that is read.
func (c *collector) fail(line int, reason, do string) error {
	return &Error{Path: c.path, Line: line, Reason: reason, Do: do}
}

// checkText refuses bytes that are no UTF-8.
func (c *collector) checkText(data []byte) error {
	if utf8.Valid(data) {
		return nil
	}
	line := 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[n:]
	}
	return c.fail(line, "it is not UTF-8", "convert it, with iconv -t UTF-8 for example")
}

// add adds a pair, unless a side is empty or it is known; ok reports whether it did.
func (c *collector) add(source, target string) (ok bool) {
	p := Pair{strings.TrimSpace(source), strings.TrimSpace(target)}
	switch {
	case p.Source == "" || p.Target == "":
		c.Empty++
		return false
	case c.seen[p]:
		c.Repeated++
		return false
	case p.Source == p.Target:
		c.Untranslated++
	}
	c.seen[p] = true
	c.Pairs = append(c.Pairs, p)
	return true
}

func (c *collector) done() (*Corpus, error) {
	c.Counts.Pairs = len(c.Corpus.Pairs)
	if len(c.Corpus.Pairs) == 0 {
		return nil, &Error{Path: strings.Join(c.Paths[:min(3, len(c.Paths))], ", "), Reason: fmt.Sprintf("there are no pairs: %d with an empty side, %d fuzzy, %d obsolete", c.Empty, c.Fuzzy, c.Obsolete), Do: "give files with translations"}
	}
	return &c.Corpus, nil
}

// String says what was read, in a sentence.
func (n Counts) String() string {
	parts := []string{quote.Of(n.Pairs, "pair") + " of " + quote.Of(n.Files, "file")}
	for _, p := range []struct {
		n    int
		what string
	}{{n.Empty, "empty"}, {n.Fuzzy, "fuzzy"}, {n.Obsolete, "obsolete"}, {n.Repeated, "repeated"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s left out", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// SHA256 returns a hash of all pairs in their order.
func (c *Corpus) SHA256() string {
	h := sha256.New()
	for _, p := range c.Pairs {
		fmt.Fprintf(h, "%d %d\n%s%s", len(p.Source), len(p.Target), p.Source, p.Target)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Split returns the pairs to learn from and those that are held out: about one source
// in every. All translations of a source are on one side, so that no sentence that is
// held out has been learned.
func (c *Corpus) Split(every int) (learn, held []Pair) {
	for _, p := range c.Pairs {
		h := fnv.New64a()
		h.Write([]byte(p.Source))
		if x := h.Sum64(); (x^x>>32)%uint64(every) == 0 {
			held = append(held, p)
		} else {
			learn = append(learn, p)
		}
	}
	if len(held) == 0 {
		held = slices.Clone(learn[:min(len(learn), 1)])
	}
	if len(learn) == 0 {
		learn = slices.Clone(held)
	}
	return learn, held
}
