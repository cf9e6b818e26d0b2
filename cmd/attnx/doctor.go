package main

import (
	"fmt"
	"os/exec"
	goruntime "runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/runtime/ort"
)

// finding is one line of the doctor's report.
type finding struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, missing or unavailable
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // how to get it
}

// doctorReport is what doctor prints as JSON.
type doctorReport struct {
	Findings []finding `json:"findings"`
}

func doctorCommand(s streams) *cobra.Command {
	var library string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Report what is on this machine and how to get what is missing",
		Long: `Report what is on this machine and how to get what is missing. Every byte of the
ONNX Runtime libraries in the user's cache is compared with its pinned SHA-256.

With ATTNX_DEBUG=1 in the environment, a session, a device or a mapped file that
a Go program drops without Close is reported on standard error.`,
		Example: "  attnx doctor",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := []finding{
				{Name: "platform", Status: "ok", Detail: goruntime.GOOS + "/" + goruntime.GOARCH + ", built with " + goruntime.Version()},
				goToolchain(),
			}
			for _, c := range ort.Diagnose(library) {
				findings = append(findings, finding{c.Name, string(c.Status), flags.Replace(c.Detail), flags.Replace(c.Remedy)})
			}
			if asJSON {
				return printJSON(s.out, doctorReport{findings})
			}
			tw := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			for _, f := range findings {
				fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Status, f.Name, oneLine(f.Detail))
				if f.Remedy != "" {
					fmt.Fprintf(tw, "\t\tto get it: %s\n", oneLine(f.Remedy))
				}
			}
			return tw.Flush()
		},
	}
	cmd.Flags().StringVar(&library, "ort-lib", "", "path of the ONNX Runtime library (default: the one that is found)")
	jsonFlag(cmd, &asJSON, doctorReport{})
	return cmd
}

func goToolchain() finding {
	f := finding{Name: "Go", Status: "ok"}
	out, err := exec.Command("go", "version").Output()
	if err != nil {
		f.Status, f.Detail = "missing", "no go command on the PATH"
		f.Remedy = "install Go 1.26 or newer; a built attnx runs without it"
		return f
	}
	f.Detail = strings.TrimSpace(string(out))
	return f
}
