// Package encoders holds the commands that read whole texts.
package encoders

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/internal/find"
)

// sources are the flags for the texts that a command reads, and where it runs.
type sources struct {
	texts  []string // --text
	file   string   // --file
	blank  bool     // lines without text are texts too
	names  []string // of the texts that read returned, for messages
	device flags.Device
}

func (t *sources) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&t.texts, "text", nil, "a text (may be repeated)")
	cmd.Flags().StringVar(&t.file, "file", "", "file with a text on each line, - for standard input")
	t.device.Flags(cmd.Flags())
}

// maxTexts bounds the bytes of a file of texts, maxLine those of a line.
const (
	maxTexts = 1 << 30
	maxLine  = 16 << 20
)

// read returns the texts: those of --text, then the lines of --file.
func (t *sources) read(s console.Streams) ([]string, error) {
	texts := slices.Clone(t.texts)
	for i := range texts {
		if t.names = append(t.names, "--text"); len(texts) > 1 {
			t.names[i] = fmt.Sprintf("--text %d", i+1)
		}
	}
	for i, text := range texts {
		if err := find.CheckText(t.names[i], text); err != nil {
			return nil, err
		}
	}
	if t.file == "" {
		if len(texts) == 0 {
			return nil, errors.New("--text or --file is missing: give the texts to read")
		}
		return texts, nil
	}
	in, name := s.In, "standard input"
	if t.file == "-" {
		s.SayInput()
	} else {
		if err := find.NotText(t.file); err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		f, err := os.Open(t.file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		in, name = f, t.file
	}
	lines := bufio.NewScanner(io.LimitReader(in, maxTexts))
	lines.Buffer(nil, maxLine)
	n, any := 0, len(texts) > 0
	for lines.Scan() {
		n++
		line := strings.TrimSuffix(lines.Text(), "\r")
		if any = any || line != ""; line != "" || t.blank {
			texts, t.names = append(texts, line), append(t.names, fmt.Sprintf("%s: line %d", name, n))
			if err := find.CheckText(t.names[len(texts)-1], line); err != nil {
				return nil, fmt.Errorf("--file: %w", err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--file: %s: after %d lines: %w: it must be a text with lines of at most %d bytes", name, n, err, maxLine)
	}
	if !any {
		return nil, fmt.Errorf("--file: %s has no text: give one on each line", name)
	}
	return texts, nil
}

// open reads the texts and opens the model. It says where the model runs.
func (t *sources) open(path string, s console.Streams, open func(string, attnx.Options) (*attnx.Encoder, error)) (*attnx.Encoder, []string, error) {
	if err := t.device.Check(); err != nil {
		return nil, nil, err
	}
	texts, err := t.read(s)
	if err != nil {
		return nil, nil, err
	}
	e, err := open(path, t.device.Options(s))
	if err == nil {
		fmt.Fprintf(s.Note, "running in %s\n", words.Replace(e.Runtime.String()))
	}
	return e, texts, err
}
