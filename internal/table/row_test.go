package table_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/internal/table"
)

// A row of several files is named by its own file.
func TestRow(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv")}
	for i, text := range []string{"x,y\n1,2\n3,4\n", "x,y\n5,6\n7,8\n9,1\n"} {
		if err := os.WriteFile(paths[i], []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	both, err := table.Read(paths, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{paths[0] + ": row 1", paths[0] + ": row 2", paths[1] + ": row 1", paths[1] + ": row 2", paths[1] + ": row 3"} {
		if got := both.Row(i); got != want {
			t.Errorf("row %d is %q, expected %q", i, got, want)
		}
	}
	one, err := table.Read(paths[:1], 1000)
	if err != nil {
		t.Fatal(err)
	}
	if got := one.Row(1); got != "row 2" {
		t.Errorf("of one file: %q", got)
	}
}
