package main

import (
	"fmt"
	"os/exec"
	goruntime "runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/runtime"
)

// doctorReport is the JSON of doctor.
type doctorReport struct {
	Findings []runtime.Finding `json:"findings"`
}

func doctorCommand(s console.Streams) *cobra.Command {
	var library string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Report what is on this machine and how to get what is missing",
		Long: `Report what is on this machine and how to get what is missing. Every byte of the
libraries in the user's cache is compared with its pinned SHA-256.

With ATTNX_DEBUG=1 in the environment, a session, a device or a mapped file that
a Go program drops without Close is reported on standard error.`,
		Example: "  attnx doctor",
		Args:    usage.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := []runtime.Finding{
				{Name: "platform", Status: runtime.Healthy, Detail: goruntime.GOOS + "/" + goruntime.GOARCH + ", built with " + goruntime.Version()},
				goToolchain(),
			}
			for _, f := range attnx.Diagnose(library) {
				f.Detail, f.Remedy = words.Replace(f.Detail), words.Replace(f.Remedy)
				findings = append(findings, f)
			}
			if asJSON {
				return usage.PrintJSON(s.Out, doctorReport{findings})
			}
			tw := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
			for _, f := range findings {
				fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Status, f.Name, words.OneLine(f.Detail))
				if f.Remedy != "" {
					fmt.Fprintf(tw, "\t\tto get it: %s\n", words.OneLine(f.Remedy))
				}
			}
			return tw.Flush()
		},
	}
	cmd.Flags().StringVar(&library, "ort-lib", "", "path of the ONNX Runtime library (default: the one that is found)")
	usage.JSONFlag(cmd, &asJSON, doctorReport{})
	return cmd
}

func goToolchain() runtime.Finding {
	f := runtime.Finding{Name: "Go", Status: runtime.Healthy}
	out, err := exec.Command("go", "version").Output()
	if err != nil {
		f.Status, f.Detail = runtime.Absent, "no go command on the PATH"
		f.Remedy = "install Go 1.26 or newer; a built attnx runs without it"
		return f
	}
	f.Detail = strings.TrimSpace(string(out))
	return f
}
