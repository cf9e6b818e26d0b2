package pairs_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/pairs"
)

const catalogue = `# German
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

#: a.c:1
msgid "open %s\n"
msgstr "öffne "
"%s\n"

#, c-format, fuzzy
#| msgid "shut"
msgid "close"
msgstr "schlie\303\237en"

msgctxt "menu"
msgid "Open"
msgstr "\"Öffnen\""

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

msgid "later"
msgstr ""

#~ msgid "old"
#~ msgstr "alt"
`

var translated = []pairs.Pair{{"open %s", "öffne %s"}, {"Open", `"Öffnen"`}, {"%d file", "%d Datei"}, {"%d files", "%d Dateien"}}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, paths ...string) *pairs.Corpus {
	t.Helper()
	c, err := pairs.Read(context.Background(), paths, "*")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A catalogue as translators write it.
func TestPO(t *testing.T) {
	c := read(t, write(t, "de.po", catalogue))
	if !slices.Equal(c.Pairs, translated) {
		t.Errorf("pairs are %q", c.Pairs)
	}
	if want := (pairs.Counts{Files: 1, Pairs: 4, Empty: 1, Fuzzy: 1, Obsolete: 1, Contexts: 1, Plurals: 2}); c.Counts != want {
		t.Errorf("counts are %+v, want %+v", c.Counts, want)
	}
}

// gettext's own msgfmt compiles the catalogue, in both orders of bytes; what is read
// from it is what was read before. It leaves out what is fuzzy, empty or obsolete.
func TestMO(t *testing.T) {
	if _, err := exec.LookPath("msgfmt"); err != nil {
		t.Skip("msgfmt is not here")
	}
	po := write(t, "de.po", catalogue)
	for _, order := range []string{"little", "big"} {
		mo := filepath.Join(t.TempDir(), "de.mo")
		if out, err := exec.Command("msgfmt", "--endianness="+order, "-o", mo, po).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := read(t, mo).Pairs
		for _, p := range translated {
			if !slices.Contains(got, p) {
				t.Errorf("%s: %q is missing in %q", order, p, got)
			}
		}
		if len(got) != len(translated) {
			t.Errorf("%s: pairs are %q", order, got)
		}
	}
}

// A folder holds files of every format, and the same pair twice counts once.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.tsv": "one\teins\r\n\none\teins\ntwo\t\n", "b.jsonl": `{"source":"three","target":"drei"}` + "\n" + `{"src":"four","tgt":"vier","x":1}` + "\n",
		"sub/c.po": catalogue, "notes.txt": "no pairs",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := read(t, dir)
	want := append([]pairs.Pair{{"one", "eins"}, {"three", "drei"}, {"four", "vier"}}, translated...)
	if !slices.Equal(c.Pairs, want) || c.Files != 3 || c.Repeated != 1 || c.Empty != 2 {
		t.Errorf("%q, %+v", c.Pairs, c.Counts)
	}
	if got, want := c.Counts.String(), "7 pairs of 3 files, 2 empty left out, 1 fuzzy left out, 1 obsolete left out, 1 repeated left out"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	learn, held := c.Split(3)
	if len(learn)+len(held) != 7 || len(held) == 0 {
		t.Errorf("%d learned, %d held out", len(learn), len(held))
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"no tab":          {"a.tsv", "a\tb\nab\n", "line 2: it has no tab"},
		"three columns":   {"a.tsv", "a\tb\tc\n", "it has 3 columns: keep two"},
		"Latin-1":         {"a.tsv", "a\tb\nx\t\xe4\n", "line 2: it is not UTF-8: convert it"},
		"no pairs":        {"a.tsv", "a\t\n", "there are no pairs: 1 with an empty side"},
		"no JSON":         {"a.jsonl", "{\n", "line 1: it is no JSON object"},
		"other members":   {"a.jsonl", `{"en":"a"}`, `it has no members "source" and "target"`},
		"a number":        {"a.jsonl", `{"source":1,"target":"a"}`, `"source" is no string`},
		"another format":  {"a.txt", "a\tb\n", "the end of its name says no format of pairs"},
		"encoding":        {"a.po", "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=KOI8-R\\n\"\n", `its encoding is "koi8-r": convert it with msgconv -t UTF-8`},
		"no translation":  {"a.po", "msgid \"a\"\n", `has no msgstr`},
		"no quotes":       {"a.po", "msgid a\n", "is no text in quotation marks"},
		"a form missing":  {"a.po", "msgid \"a\"\nmsgid_plural \"b\"\nmsgstr[1] \"c\"\n", "expected msgstr[0]"},
		"no catalogue":    {"a.po", "hello\n", "msgfmt --check"},
		"UTF-16":          {"a.po", "\xff\xfem\x00s\x00", "it is UTF-16: convert it with iconv"},
		"no .mo":          {"a.mo", "0123456789012345678901234567", "does not begin as a compiled catalogue"},
		"a short .mo":     {"a.mo", "\xde\x12\x04\x95", "4 bytes are no compiled catalogue"},
		"tables too long": {"a.mo", "\xde\x12\x04\x95\x00\x00\x00\x00\xff\xff\xff\x7f\x1c\x00\x00\x00\x1c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "make it again with msgfmt"},
	} {
		_, err := pairs.Read(context.Background(), []string{write(t, c.file, c.text)}, "*")
		if e := (*pairs.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := pairs.Read(context.Background(), []string{t.TempDir()}, "*.po"); err == nil || !strings.Contains(err.Error(), "no file that matches") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := pairs.ReadLines(write(t, "a.en", "a\nb\n"), write(t, "a.de", "a\n")); err == nil || !strings.Contains(err.Error(), "it has 1 lines") {
		t.Errorf("lines of unequal count: %v", err)
	}
	c, err := pairs.ReadLines(write(t, "a.en", "a\nb\n"), write(t, "a.de", "c\nd\n"))
	if err != nil || !slices.Equal(c.Pairs, []pairs.Pair{{"a", "c"}, {"b", "d"}}) {
		t.Errorf("lines: %v, %v", c, err)
	}
}

// Whatever a catalogue holds, reading ends with pairs or an error, and the memory is
// that of the file.
func FuzzPO(f *testing.F) {
	f.Add([]byte(catalogue))
	f.Add([]byte("msgid \"\\x\"\nmsgstr[0] \"\\777\"\n"))
	fuzz(f, ".po")
}

func FuzzMO(f *testing.F) {
	f.Add([]byte("\xde\x12\x04\x95\x00\x00\x00\x00\x01\x00\x00\x00\x1c\x00\x00\x00\x24\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x2c\x00\x00\x00\x01\x00\x00\x00\x2e\x00\x00\x00a\x00b\x00"))
	fuzz(f, ".mo")
}

func fuzz(f *testing.F, extension string) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := pairs.Parse("x"+extension, data)
		if err != nil {
			return
		}
		bytes := 0
		for _, p := range c.Pairs {
			if p.Source == "" || p.Target == "" {
				t.Errorf("an empty side: %q", p)
			}
			bytes += len(p.Source) + len(p.Target)
		}
		if extension == ".po" && bytes > 2*len(data) {
			t.Errorf("%d bytes of text in %d", bytes, len(data))
		}
	})
}

// The grammar gives the same different sentences for a seed, and the sentence of its
// documentation.
func TestGrammar(t *testing.T) {
	a, b, other := pairs.Grammar(4000, 1), pairs.Grammar(4000, 1), pairs.Grammar(4000, 2)
	if !slices.Equal(a, b) || slices.Equal(a, other) {
		t.Error("the seed does not decide the sentences")
	}
	seen, sources := map[string]bool{}, map[string]bool{}
	for _, p := range slices.Concat(a, other) {
		for _, w := range strings.Fields(p.Source + " " + p.Target) {
			seen[w] = true
		}
	}
	for _, p := range a {
		if sources[p.Source] {
			t.Fatalf("%q comes twice", p.Source)
		}
		sources[p.Source] = true
	}
	for _, w := range strings.Fields("three old dogs do not see the house tri canos vetros la casa ne visent twenty vint e") {
		if !seen[w] {
			t.Errorf("the word %q never comes", w)
		}
	}
	t.Log(a[0], a[1])
}

// Catalogues in ISO 8859-1 and -15 are converted.
func TestLatin(t *testing.T) {
	for charset, want := range map[string]string{"ISO-8859-1": "öffnen ¤", "iso-8859-15": "öffnen €"} {
		c := read(t, write(t, "a.po", "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset="+charset+"\\n\"\n\nmsgid \"open\"\nmsgstr \"\xf6ffnen \xa4\"\n"))
		if len(c.Pairs) != 1 || c.Pairs[0].Target != want {
			t.Errorf("%s: %q", charset, c.Pairs)
		}
	}
}
