package receipt

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The types that a receipt names.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://github.com/attnx/attnx/receipt/v1" // see PREDICATE.md
	PayloadType   = "application/vnd.in-toto+json"
)

// Bounds on what is read.
const (
	maxReceipt  = 16 << 20 // bytes of a file
	maxSubjects = 10_000   // files
	maxName     = 4096     // bytes of a subject's name
)

// Statement is an in-toto statement: what a predicate says about its subjects.
type Statement struct {
	Type          string       `json:"_type"`
	Subject       []Descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     Predicate    `json:"predicate"`
}

// Descriptor is a file, by its name and its SHA-256. Names are relative to the model's
// folder, with slashes.
type Descriptor struct {
	Name   string `json:"name"`
	Digest Digest `json:"digest"`
}

// Digest holds hashes in lower-case hexadecimal.
type Digest struct {
	SHA256 string `json:"sha256"`
}

// Predicate is what a verification found. PREDICATE.md describes each field.
type Predicate struct {
	Verifier  Verifier     `json:"verifier"`
	Source    []Descriptor `json:"source"`
	Network   *Network     `json:"network,omitempty"`
	Libraries []Library    `json:"libraries"`
	Verdict   string       `json:"verdict"`
	Oracle    string       `json:"oracle"`
	Seed      uint64       `json:"seed"`
	Cases     int          `json:"cases"`
	Files     []File       `json:"files"`
	Runtimes  []Runtime    `json:"runtimes"`
	Coverage  *Coverage    `json:"coverage,omitempty"`
}

// Passed is the only verdict for which receipts are written.
const Passed = "pass"

// Verifier is the program that verified.
type Verifier struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Network is what the source computes: its graph and its weights.
type Network struct {
	Architecture string `json:"architecture"`
	Fingerprint  string `json:"fingerprint"` // SHA-256 of the graph's structure
	Weights      Digest `json:"weights"`
}

// Library is a shared library in which a runtime computed.
type Library struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  Digest `json:"digest"`
}

// File is the verdict on a file, and what it rests on.
type File struct {
	Name    string `json:"name"`
	Layer   string `json:"layer"`
	RestsOn string `json:"restsOn"`
}

// Runtime is the outcome of one runtime.
type Runtime struct {
	Name       string   `json:"name"`
	File       string   `json:"file,omitempty"`
	Status     string   `json:"status"`
	Cases      int      `json:"cases"`
	MaxAbs     *float64 `json:"maxAbs"`
	MaxRel     *float64 `json:"maxRel"`
	Bound      *float64 `json:"bound"`
	BoundRatio *float64 `json:"boundRatio"`
	Closest    string   `json:"closest,omitempty"`
	// The readings of the bound of the closest value, and the node whose rounding makes most of it.
	Worst         *float64   `json:"worst,omitempty"`
	Executed      *float64   `json:"executed,omitempty"`
	Probabilistic *float64   `json:"probabilistic,omitempty"`
	WorstNode     *WorstNode `json:"worstNode,omitempty"`
}

// WorstNode is the value whose rounding makes most of a bound.
type WorstNode struct {
	Value string   `json:"value"`
	Op    string   `json:"op"`
	Share *float64 `json:"share"` // of the variance; null if it is not finite
}

// Coverage is what the cases reached.
type Coverage struct {
	Budget    int    `json:"budget"`
	IDs       [2]int `json:"ids"`
	Positions [2]int `json:"positions"`
	Lengths   string `json:"lengths"`
	Lacking   string `json:"lacking"`
	Batches   string `json:"batches"`
	Masks     string `json:"masks"`
	Pairs     [2]int `json:"pairs"`
	Elements  [2]int `json:"elements"`

	LeftOut []string `json:"leftOut,omitempty"`
}

// New returns a statement about files.
func New(subject []Descriptor, p Predicate) (Statement, error) {
	s := Statement{Type: StatementType, Subject: subject, PredicateType: PredicateType, Predicate: p}
	return s, s.check()
}

// payload returns the statement's bytes: members in the order of the types, without
// spaces. Equal statements have equal bytes.
func (s Statement) payload() ([]byte, error) {
	return json.Marshal(s, json.Deterministic(true), json.FormatNilSliceAsNull(false))
}

// parse reads a statement's bytes.
func parse(payload []byte) (s Statement, err error) {
	if err := strict(payload, &s); err != nil {
		return s, err
	}
	return s, s.check()
}

// strict reads one JSON value whose members are all known, and occur once.
func strict(text []byte, v any) error {
	err := json.Unmarshal(text, v, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic) && errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("it has the member %.80q, which receipts do not have", string(semantic.JSONPointer))
	case errors.As(err, &syntactic) && errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("the member %.80q occurs twice", string(syntactic.JSONPointer))
	case errors.As(err, &semantic) && semantic.JSONPointer == "":
		return errors.New("it is no JSON object")
	case errors.As(err, &semantic):
		return fmt.Errorf("%.80q has another type than receipts have there", string(semantic.JSONPointer))
	case errors.As(err, &syntactic) && strings.Contains(syntactic.Error(), "depth"):
		return errors.New("its JSON is nested deeper than that of receipts")
	case errors.As(err, &syntactic):
		return fmt.Errorf("its JSON ends or is broken at byte %d", syntactic.ByteOffset)
	}
	return errors.New("its JSON is cut off or broken")
}

func (s Statement) check() error {
	switch {
	case s.Type != StatementType:
		return fmt.Errorf("its statement has the type %.80q, expected %s", s.Type, StatementType)
	case s.PredicateType != PredicateType:
		return fmt.Errorf("its predicate has the type %.80q, expected %s", s.PredicateType, PredicateType)
	case s.Predicate.Verdict != Passed:
		return fmt.Errorf("its verdict is %.80q, and receipts are of a pass", s.Predicate.Verdict)
	case len(s.Subject) == 0:
		return errors.New("it names no file")
	}
	if err := checkDescriptors(s.Subject); err != nil {
		return err
	}
	return checkDescriptors(s.Predicate.Source)
}

// checkDescriptors refuses files whose names or hashes are none.
func checkDescriptors(files []Descriptor) error {
	if len(files) > maxSubjects {
		return fmt.Errorf("it names %d files, more than %d", len(files), maxSubjects)
	}
	seen := map[string]bool{}
	for _, f := range files {
		sum, err := hex.DecodeString(f.Digest.SHA256)
		switch {
		case f.Name == "" || len(f.Name) > maxName || path.Clean(f.Name) != f.Name || path.IsAbs(f.Name) || f.Name == ".." || strings.HasPrefix(f.Name, "../"):
			return fmt.Errorf("%.80q is not the name of a file in a folder", f.Name)
		case seen[f.Name]:
			return fmt.Errorf("it names %.80q twice", f.Name)
		case err != nil || len(sum) != 32 || strings.ToLower(f.Digest.SHA256) != f.Digest.SHA256:
			return fmt.Errorf("the SHA-256 of %.80q is not 64 hexadecimal digits", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
