package attnx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/format/store"
)

// A run that went further than its checkpoint, and was cut off within a line,
// goes on after the checkpoint's step.
func TestMetricsResumed(t *testing.T) {
	path := filepath.Join(t.TempDir(), store.MetricsName)
	line := func(step string) string {
		return `{"step":` + step + `,"loss":2,"val_loss":1.5,"lr":0.1,"tokens_per_second":9,"gflops":1.5,"gemm_share":0.5}` + "\n"
	}
	if err := os.WriteFile(path, []byte(line("1")+line("2")+line("3")+`{"step":4,"lo`), 0o666); err != nil {
		t.Fatal(err)
	}
	half := 0.5
	log, err := openMetrics(filepath.Dir(path), 2)
	if err != nil {
		t.Fatal(err)
	}
	val := 1.5
	log.add(Metric{Step: 3, Loss: 2, ValLoss: &val, LR: 0.1, TokensPerSecond: 9, GFLOPS: 1.5, GEMMShare: &half})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := line("1") + line("2") + line("3"); string(got) != want {
		t.Errorf("the file is\n%s, want\n%s", got, want)
	}
	if len(log.history) != 3 {
		t.Errorf("%d steps in the history, want 3", len(log.history))
	}
}

// What is no metrics file is not overwritten.
func TestMetricsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), store.MetricsName)
	if err := os.WriteFile(path, []byte("my notes\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := openMetrics(filepath.Dir(path), 2); err == nil {
		t.Error("it was taken")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "my notes\n" {
		t.Errorf("it is now %q, %v", b, err)
	}
}
