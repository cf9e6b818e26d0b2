package tensorboard

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// The file is the one that TensorBoard's own classes write.
func TestGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/golden.tfevents") // by fixtures/oracle/tensorboard_golden.py
	if err != nil {
		t.Fatal(err)
	}
	var file buffer
	w := &Writer{file: &file, now: func() time.Time { return time.UnixMilli(1700000000250) }}
	w.begin(301)
	if err := w.Scalars(301, []Scalar{{"loss/train", 1.5}, {"learning_rate", 1e-3}}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file.Bytes(), want) {
		t.Errorf("the file is\n%x, expected\n%x", file.Bytes(), want)
	}
}

// TensorBoard shows a run that was continued from step 2: the third step of the
// first file is gone.
func TestTensorBoardReads(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	folder := t.TempDir()
	for _, begin := range []int{1, 3} {
		w, _, err := Create(folder, begin)
		if err != nil {
			t.Fatal(err)
		}
		for step := begin; step <= begin+2; step++ {
			if err := w.Scalars(step, []Scalar{{"loss/train", float64(10*begin + step)}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join("..", "..", "fixtures", "oracle", "tensorboard_golden.py")
	cmd := exec.Command(python, script, "--read", folder)
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][][2]float64
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := [][2]float64{{1, 11}, {2, 12}, {3, 33}, {4, 34}, {5, 35}}
	if len(got) != 1 || len(got["loss/train"]) != len(want) {
		t.Fatalf("TensorBoard reads %v, expected %v", got, want)
	}
	for i, w := range want {
		if got["loss/train"][i] != w {
			t.Errorf("TensorBoard reads %v, expected %v", got["loss/train"], want)
		}
	}
}
