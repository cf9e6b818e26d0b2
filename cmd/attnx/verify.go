package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/runtime"
)

func verifyCommand(s console.Streams) *cobra.Command {
	var plan string
	var faults int
	var asJSON, certify bool
	var text string
	var receipt receiptFlags
	var o attnx.VerifyOptions
	var d flags.Device
	cmd := &cobra.Command{
		Use:   "verify CHECKPOINT|ONNX [ONNX...]",
		Short: "Compare every runtime with a float64 oracle",
		Long: `Compare ONNX files with a checkpoint, then run the network in every runtime
and compare it with the same network evaluated in float64.

Files are compared before anything runs, with what attnx export writes from the
checkpoint: every initializer bit by bit, every node and its attributes, the
metadata, and the files of a folder field by field. A file whose graph is the
checkpoint's in normal form is identical by structure, for every input, also if
a tool rewrote it. What structure cannot prove is judged by the runs: equal on
samples, or different. A departure fails the verdict. At most one file of each
profile is run. A file with integer weights is run too, against the network that
these integers stand for: where a runtime may round activations to 8 bits, the
bound has half a step of each.

Files are run in the runtimes for them. Without files every runtime runs, on
exports in memory, which are judged by structure like files. The form flat has
at most 128 tokens, of a large model 16: onnx-go runs the cases that fit.
A network whose tokens depend on those after them, or without text, has no past
and no flat form: unless they are named, the runtimes for these are left out.

Cases are one text of the full context and, within --budget tokens, batches of 1
to 12, lengths around powers of two, every id as far as there is room, and with
a past every pair of a batch, a past, new tokens, a mask and positions. The
report has what was covered and what was left out.

Runtimes: ref (the oracle, in primitive operators and rounded), gorgonia,
ort-cpu, ort-cuda, openvino, onnx-go, and ort-cpu-cache, ort-cuda-cache and
openvino-cache, the network with a past. It computes each text in several ways,
which must give the same logits, keys and values: at once, token by token, in
chunks after a past, with padding, with holes in the mask, and with positions
that are not the mask's sums; in ONNX Runtime on the CPU as written, with basic
optimizations and with all.

OpenVINO computes in float32 here. As it comes, it computes in bfloat16 where
the processor can: "openvino (default)", which runs only if it is named.

An ONNX file of any tool, without a checkpoint, is run in each runtime with each
level of optimization and compared with its own graph. Inputs are read or drawn
as by attnx run. If the graph shows which of them are ids, masks and a past, the
cases are designed as above; what has no bound there is left out of them. In a
folder with test_data_set_N, its inputs are run, and the recorded outputs are
compared too. Further ONNX files are compared with the
first: inputs and outputs are matched by name, otherwise by position and type.
One whose graph in normal form is the first file's is identical by structure.
One with a condition or limit more, or with other weights, is different even if
no sample shows it; what differs, attnx diff lists. A difference is located at
the first node that departs, also if all inner names are others. --keep writes
the smallest model that shows it, as such a folder.

Where the oracle does not read a file (its inputs are strings, data decide how
often a loop runs, an operator is unknown), the runtimes are compared with the
first of them that runs it. That proves nothing, so it is no pass: what agrees
is "not certified", what differs fails. Recorded outputs judge such a file as
any other. Outputs that depend on random draws are left out.

The verdict says on what it rests: identical by structure, for every input;
equal on samples; different; or open, for a file that nothing proved and nothing
ran, which is no pass.

A runtime that is not there, or has no kernel for a node in its types, never
counts as a pass: named in --runtimes it fails the verdict, otherwise it is
reported. With no runtime but Go's own the verdict is fail.

With --self-test N nothing is verified. N seeded faults are put into the model:
in weights, attributes, wiring, masks and positions, and ones that only certain
inputs show. The table counts how many of them verify catches, by structure or
on samples, locates at the right value, and misses. A fault that changes no
output by more than the bound is counted as equivalent.

The bound on a difference is derived for each element of each output: 6 standard
deviations of what the roundings of all operations add up to for these inputs.
bound/error is how many times the error of the worst element fits into its own
bound. Where no bound is known the runtime is "not certified", which is no pass.
--readings adds for that element the worst case in any order of summation, the
worst case as executed, and the probabilistic bound, all by the derivatives, and
the nodes whose roundings do the most. The JSON of a small model has them
always.

With --certify the next tokens of a text are predicted, or the classes of its
lines, and it is said how firm each is: certain in any order of summation, in
sums from the first term to the last, or by six standard deviations of
independent roundings, which is no proof; or a matter of rounding. What is not
certain is listed, with the values whose roundings do the most. All is to first
order, and the worst cases are put into the network, which shows where that does
not hold. --budget N derives the worst cases for N tokens. Of an ONNX file of
any tool, without a checkpoint, each row of its scores is certified, such as the
class of each image; its inputs are those of --input, or drawn.

--receipt writes what a passed verification found to a file, with the SHA-256 of
each file of the model: see attnx receipt.

With --plan cuda nothing is run and no GPU is needed: a table of ONNX Runtime's
operators and kernels shows which nodes of an ONNX file, of any tool, are not
valid or would not run on the GPU, and which values would be copied. What the
table does not know counts as off the GPU. Shapes are compared where the file
declares them.

Exit code 0: every file and every runtime agrees; the plan has no node off the
GPU and no copy. 1: a file or a runtime disagrees or is not certified, or the
plan has such a node or copy. 2: a file or the command line is wrong.`,
		Example: "  attnx verify runs/go\n  attnx verify runs/go go.onnx --runtimes ort-cpu --json\n  attnx verify --plan cuda go.onnx",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !cmd.Flags().Changed("plan") {
				return fmt.Errorf("no checkpoint is named: see `%s --help`", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := receipt.check(cmd.Flags()); err != nil {
				return err
			}
			if cmd.Flags().Changed("plan") {
				return planFor(cmd, s, plan, args, asJSON)
			}
			o.Library, o.TF32, o.Saving = d.Library, d.TF32, func() { ending.FinishFirst(cmd.Context()) }
			if cmd.Flags().Changed("self-test") {
				return selfTest(cmd.Context(), s, args, faults, asJSON, o)
			}
			if certify {
				return certified(cmd.Context(), s, args, text, asJSON, o)
			} else if text != "" {
				return errors.New("--text is the text to --certify: add that flag")
			}
			report, err := verified(cmd.Context(), s, args, receipt, o)
			if err != nil {
				return err
			}
			report.Explain = o.Readings
			if asJSON {
				err = usage.PrintJSON(s.Out, report)
			} else {
				err = report.WriteText(s.Out)
			}
			if err != nil {
				return err
			}
			return receipt.written(s, report)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&o.Runtimes, "runtimes", nil, "runtimes that must be there and agree (default: all that are there, for the files if any are named)")
	fl.IntVar(&o.Budget, "budget", 0, "tokens of the cases, beside a full context (default: 256 if structure proves the files or exports, or there is one file of another tool; otherwise 4096)")
	fl.BoolVar(&o.Readings, "readings", false, "say for each runtime how large the error of the closest value can be: in any order, as executed, and probably")
	fl.IntVar(&faults, "self-test", 0, "put this number of faults into the model and count what verify finds")
	fl.StringVar(&plan, "plan", "", "say where an ONNX file's nodes would run, without running it: cuda")
	usage.JSONFlag(cmd, &asJSON, runtime.Report{})
	usage.DescribeJSON(cmd, "--plan and --json", placement.Report{})
	usage.DescribeJSON(cmd, "--self-test and --json", attnx.SelfTest{})
	fl.Uint64Var(&o.Seed, "seed", 1, "seed of the ids, and of what is drawn")
	fl.Var(&o.Inputs, "input", "ONNX files of other tools: read an input (may be repeated)")
	tokenizerFlag(fl, &o.Tokenizer)
	fl.StringVar(&o.Keep, "keep", "", "ONNX files of other tools: folder to make, with the nodes that differ")
	fl.BoolVar(&certify, "certify", false, "say how firm the next tokens of --text, or a file's classes, are against rounding")
	fl.StringVar(&text, "text", "", "file with the text for --certify; - is standard input")
	usage.DescribeJSON(cmd, "--certify and --json", attnx.Certificates{})
	receipt.flags(fl)
	fl.StringVar(&d.Library, "ort-lib", "", "path of the ONNX Runtime library (default: the one that is found)")
	fl.BoolVar(&d.TF32, "tf32", false, "CUDA: allow TF32, which rounds the factors of products to 10 bits")
	return cmd
}

// selfTest prints what verify finds of faults. A missed one gives exit code 1.
func selfTest(ctx context.Context, s console.Streams, files []string, n int, asJSON bool, o attnx.VerifyOptions) error {
	found, err := attnx.VerifySelf(ctx, files, n, s.Tell, o)
	switch {
	case err != nil:
		return err
	case asJSON:
		err = usage.PrintJSON(s.Out, found)
	default:
		err = found.WriteText(s.Out)
	}
	if err == nil && found.Missed > 0 {
		return errMismatch
	}
	return err
}

// certified prints the certificates of a text's next tokens.
func certified(ctx context.Context, s console.Streams, args []string, text string, asJSON bool, o attnx.VerifyOptions) error {
	x, err := attnx.Certify(ctx, args[0], args[1:], text, s.In, s.Tell, o)
	if err != nil {
		return err
	}
	if asJSON {
		err = usage.PrintJSON(s.Out, x)
	} else {
		err = x.WriteText(s.Out)
	}
	if err == nil && x.Wrong > 0 {
		err = errMismatch
	}
	return err
}

// verified verifies with a progress line on a terminal.
func verified(ctx context.Context, s console.Streams, files []string, receipt receiptFlags, o attnx.VerifyOptions) (runtime.Report, error) {
	var bar *terminal.Progress
	o.Progress = func(name string, done, total int) {
		if bar == nil {
			bar = terminal.NewProgress(s.Note, "verify", total, "tokens")
		}
		if bar.Elapsed() {
			bar.Set(done, name)
		}
	}
	report, err := receipt.verify(ctx, files, s.Tell, o)
	if bar != nil && bar.Elapsed() {
		bar.Clear()
	}
	for i, check := range report.Checks {
		report.Checks[i].Reason = words.Replace(check.Reason)
	}
	for i, ran := range report.Results {
		report.Results[i].Reason = words.Replace(ran.Reason)
	}
	report.Reason = words.Replace(report.Reason)
	return report, err
}
