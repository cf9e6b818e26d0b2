package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/receipt"
	"github.com/attnx/attnx/runtime"
)

func receiptCommand(s console.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipt",
		Short: "Sign and check receipts of verifications",
		Long: `A receipt says what a verification found, of which files, in which runtimes. It
is an in-toto statement in a DSSE envelope, signed with ed25519 keys, as
receipt/PREDICATE.md in the source describes. attnx verify --receipt writes one.
Its subjects are all files of the model: weights, tokenizer, configuration.`,
		Example: "  attnx receipt keygen ci.pem\n  attnx receipt check go.json go.onnx --key ci.pem.pub",
		Args:    usage.Command,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keygenCommand(s), signCommand(s), checkCommand(s))
	return cmd
}

// keyReport is the JSON of receipt keygen.
type keyReport struct {
	Private string `json:"private"`
	Public  string `json:"public"`
	Key     string `json:"key"` // SHA-256 of the public key
}

func keygenCommand(s console.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key to sign receipts with",
		Long: `Make an ed25519 key. Its private half goes to FILE, which only its owner can
read, in PKCS #8; its public half goes to FILE.pub. openssl reads both. No file
is replaced.`,
		Example: "  attnx receipt keygen ci.pem",
		Args:    usage.OneArg("file"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := notStdout(args[0]); err != nil {
				return err
			}
			key, err := attnx.MakeReceiptKey(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return usage.PrintJSON(s.Out, keyReport{args[0], args[0] + receipt.PublicEnding, key.ID()})
			}
			_, err = fmt.Fprintf(s.Out, "key %.16s: private %s, public %s%s\n", key.ID(), args[0], args[0], receipt.PublicEnding)
			return err
		},
	}
	usage.JSONFlag(cmd, &asJSON, keyReport{})
	return cmd
}

// signReport is the JSON of receipt sign.
type signReport struct {
	Receipt string   `json:"receipt"`
	Keys    []string `json:"keys"` // of all signatures
}

func signCommand(s console.Streams) *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sign FILE --key KEY",
		Short: "Add a signature to a receipt",
		Long: `Add the signature of a private key to a receipt, in its place. A receipt may
have several. Signing twice with one key changes nothing.`,
		Example: "  attnx receipt sign go.json --key ci.pem",
		Args:    usage.OneArg("receipt"),
		RunE: func(_ *cobra.Command, args []string) error {
			if key == "" {
				return errors.New("no key is named: give the private one with --key, `attnx receipt keygen` makes it")
			}
			private, err := receipt.ReadPrivate(key)
			if err != nil {
				return err
			}
			keys, err := attnx.SignReceipt(args[0], private)
			if err != nil {
				return err
			}
			if asJSON {
				return usage.PrintJSON(s.Out, signReport{args[0], keys})
			}
			_, err = fmt.Fprintf(s.Out, "%s: signed by the key %.16s, signatures: %d\n", args[0], private.Public().ID(), len(keys))
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "file with the private key")
	usage.JSONFlag(cmd, &asJSON, signReport{})
	return cmd
}

func checkCommand(s console.Streams) *cobra.Command {
	var key, source string
	var unsigned, asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE MODEL... --key KEY.pub",
		Short: "Compare a model, byte by byte, with its receipt",
		Long: `Compare the signature of a receipt with a public key, and every file of a model
with the receipt. Name the model as attnx verify was given it, without the
checkpoint: a folder, of which each file counts, or an ONNX file. A file that
changed, is missing or was added makes the receipt invalid, and so does a
receipt that the key did not sign. The receipt itself may lie in the folder.

Exit codes: 0 signed, and every byte is as it was verified; 1 not; 2 a file is
no receipt, no key, or cannot be read.`,
		Example: "  attnx receipt check go.json go.onnx --key ci.pem.pub",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("%s takes a receipt and the model that it is of, got %d: see `%[1]s --help`", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if (key == "") == !unsigned {
				return errors.New("give either --key with the public key that you trust, or --unsigned to compare the files alone")
			}
			var public *receipt.PublicKey
			if key != "" {
				k, err := receipt.ReadPublic(key)
				if err != nil {
					return err
				}
				public = &k
			}
			c, err := attnx.CheckReceipt(cmd.Context(), args[0], args[1:], source, public)
			if err != nil {
				return err
			}
			if asJSON {
				err = usage.PrintJSON(s.Out, c)
			} else {
				err = c.WriteText(s.Out)
			}
			if err == nil && !c.Valid {
				err = errMismatch
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&key, "key", "", "file with the public key that must have signed")
	fl.BoolVar(&unsigned, "unsigned", false, "compare the files alone: anybody may have written the receipt")
	fl.StringVar(&source, "source", "", "compare the checkpoint too of which the model was made")
	usage.JSONFlag(cmd, &asJSON, attnx.ReceiptCheck{})
	return cmd
}

// receiptFlags are verify's flags for receipts.
type receiptFlags struct{ to, key string }

func (f *receiptFlags) flags(fl *pflag.FlagSet) {
	fl.StringVar(&f.to, "receipt", "", "file to write a receipt of a pass to")
	fl.StringVar(&f.key, "key", "", "private key to sign the receipt with (default: no signature, see attnx receipt sign)")
}

// check refuses flags that exclude one another.
func (f receiptFlags) check(fl *pflag.FlagSet) error {
	if f.key != "" && f.to == "" {
		return errors.New("--key signs a receipt: give --receipt too")
	}
	if f.to == "" {
		return nil
	}
	for _, other := range []string{"plan", "self-test", "certify"} {
		if fl.Changed(other) {
			return fmt.Errorf("--receipt is of a verification, and with --%s there is none: leave one out", other)
		}
	}
	return notStdout(f.to)
}

// verify verifies, and writes the receipt if one is asked for.
func (f receiptFlags) verify(ctx context.Context, files []string, tell attnx.Tell, o attnx.VerifyOptions) (runtime.Report, error) {
	if f.to == "" {
		return attnx.VerifyFiles(ctx, files, tell, o)
	}
	var key *receipt.PrivateKey
	if f.key != "" {
		k, err := receipt.ReadPrivate(f.key)
		if err != nil {
			return runtime.Report{}, err
		}
		key = &k
	}
	return attnx.VerifyWithReceipt(ctx, files, f.to, key, tell, o)
}

// written reports whether a receipt was written. A verdict that is no pass gives exit
// code 1.
func (f receiptFlags) written(s console.Streams, report runtime.Report) error {
	signed := "signed"
	if f.key == "" {
		signed = "not signed: `attnx receipt sign` does"
	}
	switch {
	case report.Verdict != runtime.Pass && f.to != "":
		fmt.Fprintf(s.Note, "%s was not written: a receipt is of a pass\n", f.to)
		return errMismatch
	case report.Verdict != runtime.Pass:
		return errMismatch
	case f.to != "":
		fmt.Fprintf(s.Note, "receipt: %s, %s\n", f.to, signed)
	}
	return nil
}
