package memory_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/attnx/attnx/internal/memory"
)

// With a limit the system refuses memory beyond what is free; without one it would give
// addresses, and end the process when they are written.
func TestLimit(t *testing.T) {
	if os.Getenv("ATTNX_TEST_LIMIT") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestLimit$", "-test.v")
		c.Env = append(os.Environ(), "ATTNX_TEST_LIMIT=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	ask := func(bytes int64) error {
		x, err := syscall.Mmap(-1, 0, int(bytes), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
		if err == nil {
			err = syscall.Munmap(x)
		}
		return err
	}
	beyond := 2*max(memory.Free(), 1<<30) + 1<<30
	if err := ask(beyond); err != nil {
		t.Fatal("before:", err)
	}
	memory.Limit()
	if err := ask(beyond); err != syscall.ENOMEM {
		t.Errorf("%d bytes: %v", beyond, err)
	}
	if err := ask(1 << 28); err != nil {
		t.Error("a few:", err)
	}
}
