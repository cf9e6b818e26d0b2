package find

import (
	"path/filepath"
	"testing"
)

// A repository in Hugging Face's cache means the snapshot of its main branch, or
// the only one; a folder with one GGUF file means that file.
func TestHeld(t *testing.T) {
	const a, b = "0123456789012345678901234567890123456789", "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
	dir := t.TempDir()
	repo := func(name, main string, commits ...string) string {
		path := filepath.Join(dir, "models--org--"+name)
		for _, c := range commits {
			put(t, filepath.Join(path, "snapshots", c, "config.json"), []byte("{}"))
		}
		if main != "" {
			put(t, filepath.Join(path, "refs", "main"), []byte(main))
		}
		return path
	}
	gguf := filepath.Dir(put(t, filepath.Join(dir, "one", "m.gguf"), []byte("GGUF")))
	two := filepath.Dir(put(t, filepath.Join(dir, "two", "m.gguf"), nil))
	put(t, filepath.Join(two, "n.GGUF"), nil)
	for path, want := range map[string]string{
		repo("main", a+"\n", a, b):           filepath.Join(dir, "models--org--main", "snapshots", a),
		repo("only", "", b):                  filepath.Join(dir, "models--org--only", "snapshots", b),
		repo("several", "", a, b):            "",
		repo("gone", a, b):                   filepath.Join(dir, "models--org--gone", "snapshots", b),
		repo("leads away", "../../x", a, b):  "",
		repo("not a commit", "main", "main"): "",
		gguf:                                 filepath.Join(gguf, "m.gguf"),
		two:                                  "",
		filepath.Join(dir, "nothing"):        "",
	} {
		if want == "" {
			want = path
		}
		if got := Held(path); got != want {
			t.Errorf("%s holds %s, expected %s", path, got, want)
		}
	}
}
