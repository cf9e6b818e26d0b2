package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/attnx/attnx/cmd/attnx/internal/ending"
)

// A command that is stopped while its disk takes longer than the time of grace
// finishes what it writes: the output is there, and nothing beside it.
func TestStoppedWhileSaving(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not on this machine: no system call can be slowed down")
	}
	data, run := sample(t)
	if out, err := exec.Command("attnx", "train", "--data", data, "--context", "8", "--engine", "gorgonia", "--steps", "2", "--save-every", "1", "--out", run).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checkpoint := filepath.Join(run, "step-00000002.safetensors")
	negative, positive := oneOperator(t, "Neg"), oneOperator(t, "Abs")
	type stopped struct {
		args []string
		out  string
	}
	cases := map[string]stopped{
		"export":           {[]string{"export", run, "-o", "m.onnx"}, "m.onnx"},
		"export folder":    {[]string{"export", run, "-o", "folder/"}, "folder"},
		"export triton":    {[]string{"export", run, "--triton", "."}, "run run_text"},
		"convert":          {[]string{"convert", run, "-o", "c.safetensors"}, "c.safetensors"},
		"convert a folder": {[]string{"convert", run, "-o", "folder"}, "folder"},
		"average":          {[]string{"average", run, "-o", "mean.safetensors"}, "mean.safetensors"},
		"reseal":           {[]string{"reseal", checkpoint, "-o", "sealed.safetensors"}, "sealed.safetensors"},
		"attention":        {[]string{"attention", run, "--text", "e", "-o", "a.png"}, "a.png"},
		"run":              {[]string{"run", negative, "--runtime", "oracle", "-o", "outputs"}, "outputs"},
	}
	if _, err := onnxRuntime(t); err == nil {
		cases["verify receipt"] = stopped{[]string{"verify", negative, "--runtimes", "ort-cpu", "--receipt", "r.json"}, "r.json"}
		cases["verify keep"] = stopped{[]string{"verify", negative, positive, "--runtimes", "ort-cpu", "--keep", "kept"}, "kept"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			// -D leaves the command in the place of this test's child: it gets the signal.
			slow := "inject=fsync:delay_enter=" + (ending.Grace + time.Second).String() + ":when=1"
			cmd := exec.Command(strace, append([]string{"-D", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync", "-e", slow, "attnx"}, c.args...)...)
			cmd.Dir = dir
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			asked := false
			err := waitOr(ended, func() {
				if left, _ := filepath.Glob(filepath.Join(dir, ".attnx-*.tmp")); len(left) > 0 && !asked {
					asked = true
					time.Sleep(300 * time.Millisecond) // it is written, and waits for the disk
					_ = cmd.Process.Signal(syscall.SIGTERM)
				}
			})
			if strings.Contains(stderr.String(), "ptrace") {
				t.Skipf("strace may not trace here: %s", &stderr)
			}
			want := exitOK
			if name == "verify keep" { // it keeps what differs
				want = exitMismatch
			}
			if exitCode(t, err) != want || !asked {
				t.Errorf("%v, stopped while it saved: %t\n%s", err, asked, &stderr)
			}
			there, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, e := range there {
				left = append(left, e.Name())
			}
			if strings.Join(left, " ") != c.out {
				t.Errorf("left are %v, expected %s", left, c.out)
			}
		})
	}
}
