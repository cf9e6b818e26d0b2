// Command attnx trains self-attention models, exports them to ONNX, and
// verifies the exports against a float64 oracle.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/cmd/attnx/internal/complete"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/corpora"
	"github.com/attnx/attnx/cmd/attnx/internal/encoders"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/explorer"
	"github.com/attnx/attnx/cmd/attnx/internal/heads"
	"github.com/attnx/attnx/cmd/attnx/internal/playground"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/versus"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/quote"
)

func main() {
	memory.CollectFrom(32 << 20)
	memory.Limit()
	ending.SurviveClosedOutput()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes, the same for every command.
const (
	exitOK       = 0
	exitMismatch = 1   // a check failed
	exitUsage    = 2   // the command line, a file or this machine made the work impossible
	exitStopped  = 130 // stopped by a signal; shells use this code for Ctrl-C
	exitUnread   = 141 // standard output was closed before the result was written; shells use this code for SIGPIPE
)

// Errors that end a command with a specific exit code. The command has already
// printed its message.
var (
	errMismatch = errors.New("mismatch")
	errStopped  = errors.New("stopped")
)

// run is the whole program: it takes arguments and streams and returns an exit
// code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := ending.Asked(context.Background())
	defer stop()
	stdout, stderr = ending.NewStream(stdout, ctx.Done(), ending.Reading), ending.NewStream(stderr, ctx.Done(), ending.Reading)

	s := console.New(stdin, stdout, stderr)
	root := command(s)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	began := time.Now()
	err := ending.UntilStopped(ctx, ending.Grace, root.ExecuteContext)
	s.Account(time.Since(began))
	if lost := ending.Lost(stdout); err == nil && lost != nil {
		err = fmt.Errorf("standard output: %w", lost)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errMismatch):
		return exitMismatch
	case errors.Is(err, errStopped):
		return exitStopped
	case ending.Unread(stdout, err):
		return exitUnread
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "attnx: stopped")
		return exitStopped
	}
	fmt.Fprintln(stderr, "attnx: "+explain(err))
	return exitUsage
}

// explain returns the line that a user reads about an error.
func explain(err error) string {
	text := words.Of(err)
	path := new(fs.PathError)
	if !errors.As(err, &path) {
		return text
	}
	reason := ""
	switch cause := path.Err; {
	case errors.Is(cause, fs.ErrNotExist):
		reason = "there is no such file: check the path"
		if to, err := os.Readlink(path.Path); err == nil {
			reason = "it is a link to " + quote.Line(to, 80) + ", which is not there: restore that file, or remove the link"
		}
	case errors.Is(cause, fs.ErrPermission):
		reason = "permission denied: check the permissions of the file and of its folder"
	case errors.Is(cause, syscall.ENOTDIR), errors.Is(cause, syscall.ELOOP), errors.Is(cause, syscall.ENAMETOOLONG):
		reason = cause.Error() + ": check the path"
	default:
		return text
	}
	return strings.Replace(text, words.OneLine(path.Error()), words.OneLine(path.Path)+": "+reason, 1)
}

// command returns the command tree.
func command(s console.Streams) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "attnx",
		Short: "Train self-attention models in Go, export them to ONNX, prove the export",
		Long: `attnx trains self-attention language models in Go, saves them, exports them to
ONNX, runs the export in ONNX Runtime and onnx-go, and checks every runtime
against a float64 oracle.

No command writes over what it reads, over the files of a run, or over a file
that attnx did not write.

Exit codes: 0 done, 1 a check did not pass, 2 the command line, a file or this
machine did not allow the work, 130 stopped by a signal such as Ctrl-C, 141
nobody read standard output to its end.`,
		Example:       "  attnx quickstart",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage.Command,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return console.PrintVersion(s.Out)
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return s.Volume.Check() },
	}
	root.Flags().BoolVar(&version, "version", false, "print the version of attnx")
	s.Volume.Flags(root.PersistentFlags())
	root.SuggestionsMinimumDistance = 2 // edits between a mistyped command and the suggested one
	root.SetFlagErrorFunc(usage.FlagError)
	// cobra writes each flag on one line, whatever its length.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages |", fmt.Sprintf(".FlagUsagesWrapped %d |", usage.Columns)))
	root.AddCommand(
		quickstartCommand(s),
		trainCommand(s),
		exportCommand(s),
		verifyCommand(s),
		receiptCommand(s),
		generateCommand(s),
		corpora.Tokens(s),
		encoders.Embed(s),
		encoders.Classify(s),
		encoders.Translate(s),
		runCommand(s),
		inspectCommand(s),
		checkpointsCommand(s),
		convertCommand(s),
		diffCommand(s),
		versus.Command(s),
		averageCommand(s),
		verifySealCommand(s),
		resealCommand(s),
		heads.Command(s),
		explorer.Command(s),
		playground.Serve(s),
		benchCommand(s),
		runtimeCommand(s),
		doctorCommand(s),
	)
	complete.Table{Flags: flagValues, Args: argValues}.Register(root)
	return root
}

// thousands writes 1234567 as "1,234,567".
func thousands(n int) string { return quote.Count(n) }
