//go:build cgo && unix

package ort

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/runtime/ort/library"
)

// TestNoTelemetry opens a session in a process whose every folder is new, and
// whose environment does not look like a CI's, where ONNX Runtime is silent by
// itself: where it reports, it leaves an identifier, a queue and a log.
func TestNoTelemetry(t *testing.T) {
	const child = "ATTNX_TEST_HOME"
	if os.Getenv(child) != "" {
		session(t, identity(protoFloat), Options{}).Close()
		return
	}
	lib := needLibrary(t)
	home := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoTelemetry$")
	cmd.Dir = home
	for _, name := range []string{child, "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"} {
		cmd.Env = append(cmd.Env, name+"="+home)
	}
	cmd.Env = append(cmd.Env, library.EnvLibrary+"="+lib.Path, "LD_LIBRARY_PATH="+os.Getenv("LD_LIBRARY_PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ok(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != home {
			t.Errorf("ONNX Runtime has left %s", path)
		}
		return err
	}))
}

func TestTelemetryIsTheUsersChoice(t *testing.T) {
	t.Setenv(envTelemetry, "0")
	if refuseTelemetry(); os.Getenv(envTelemetry) != "0" {
		t.Error("a choice was overwritten")
	}
}
