package attnx

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// RunSummary is what a run of training came to.
type RunSummary struct {
	Run        string        `json:"run"`
	Arch       string        `json:"arch"`
	Parameters int           `json:"parameters"`
	Seed       uint64        `json:"seed"`
	Data       string        `json:"data"` // SHA-256 of what it learned from
	Steps      int           `json:"steps"`
	Tokens     int           `json:"tokens"`  // learned from, those of a step times the steps
	Seconds    float64       `json:"seconds"` // of its steps, without evaluations
	ValLoss    *float64      `json:"val_loss"`
	Scores     *score.Scores `json:"scores,omitempty"` // of a translator
	Speeds     []RunSpeed    `json:"speeds,omitempty"` // of the forward pass

	Positions []PositionLoss `json:"loss_by_position,omitempty"` // of the validation data

	Curve []CurvePoint `json:"-"` // one for each step
}

// CurvePoint is a step of a run, with what it had cost until then.
type CurvePoint struct {
	Step    int
	Tokens  float64
	Seconds float64
	Loss    float64
	ValLoss *float64
}

// RunSpeed is how fast a network reads one text of a length.
type RunSpeed struct {
	Length          int     `json:"length"`
	TokensPerSecond float64 `json:"tokens_per_second"`
}

// RunComparison is several runs side by side.
type RunComparison struct {
	Runs         []RunSummary `json:"runs"`
	EqualSteps   RunsAt       `json:"equal_steps"`   // where the run of the fewest steps ended
	EqualSeconds RunsAt       `json:"equal_seconds"` // where the shortest run ended, or a slower one was evaluated first; the learning rate of longer ones was still higher there
	Verdict      string       `json:"verdict"`
}

// speedLengths are the lengths of text whose speed CompareRuns measures.
var speedLengths = []int{16, 32, 64, 128, 256, 512, 1024}

// CompareRuns reads the runs of folders, measures how fast their newest networks read a
// text, and says which architecture ended with the lower validation loss.
func CompareRuns(folders []string, o Options) (*RunComparison, error) {
	if len(folders) < 2 {
		return nil, errors.New("a comparison takes two runs or more: name their folders")
	}
	c := &RunComparison{}
	for _, folder := range folders {
		s, err := summarize(folder, o)
		if err != nil {
			return nil, err
		}
		c.Runs = append(c.Runs, s)
	}
	c.EqualSteps = at(c.Runs, func(p CurvePoint) float64 { return float64(p.Step) }, false)
	c.EqualSeconds = at(c.Runs, func(p CurvePoint) float64 { return p.Seconds }, true)
	c.Verdict = verdictOf(c.Runs)
	if sameData(c.Runs) {
		c.Verdict += bySeconds(c.Runs, c.EqualSeconds) + byScores(c.Runs)
	}
	return c, nil
}

func summarize(folder string, o Options) (s RunSummary, err error) {
	if _, err := find.Expect(folder, "a run's folder", find.RunFolder); err != nil {
		return s, err
	}
	history, err := ReadMetrics(filepath.Join(folder, store.MetricsName))
	if err != nil {
		return s, err
	}
	if len(history) == 0 {
		return s, &Error{Option: "run", Value: folder, Err: errors.New("it has taken no step yet"), Do: "train it first"}
	}
	m, _, err := find.Load(folder, o.Tell, model.Load)
	if err != nil {
		return s, err
	}
	options, err := train.Saved(m)
	if err != nil {
		return s, fmt.Errorf("%s: %w", folder, err)
	}
	s = RunSummary{Run: folder, Arch: m.Arch, Seed: options.Seed, Data: options.DataSHA256}
	if s.Parameters, err = m.Parameters(); err != nil {
		return s, err
	}
	tokens, seconds := 0.0, 0.0
	for _, step := range history {
		n := float64(step.Tokens)
		if n == 0 { // a run from before steps told their tokens: those of a text
			n = float64(options.Batch * max(1, options.Accumulate) * max(1, options.Context, m.Context()))
		}
		tokens += n
		seconds += n / max(1, step.TokensPerSecond)
		s.Curve = append(s.Curve, CurvePoint{step.Step, tokens, seconds, step.Loss, step.ValLoss})
		s.Steps = step.Step
		if step.ValLoss != nil {
			s.ValLoss = step.ValLoss
		}
		if step.Scores != nil {
			s.Scores = step.Scores
		}
	}
	s.Tokens, s.Seconds = int(tokens), math.Round(100*seconds)/100
	if s.Speeds, err = speedsOf(m, o); err != nil {
		return s, err
	}
	s.Positions, err = positionsOf(folder, o)
	return s, err
}

// speedsOf measures the forward pass of a network that continues a text, or translates one as
// long as its target. A network whose context is shorter is measured with a longer one and new
// weights, on which the speed does not depend.
func speedsOf(m *model.Checkpoint, o Options) (speeds []RunSpeed, err error) {
	m = longer(m, speedLengths[len(speedLengths)-1])
	if m.Continues() != nil && !m.Translates() {
		return nil, nil
	}
	session, err := plainSession(m, o.Device)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	for _, n := range speedLengths {
		if most := m.Context(); most > 0 && n > most {
			break
		}
		in := map[string]format.Tensor{}
		for _, v := range m.Graph.Inputs {
			ids := make([]int64, n)
			if v.Role().Kind != role.Tokens && v.Role().Kind != role.SourceTokens { // a mask
				ids = slices.Repeat([]int64{1}, n)
			}
			in[v.Name] = format.FromInt64s(v.Name, []int{1, n}, ids)
		}
		best := math.Inf(1)
		for range 4 { // the first one allocates
			took, err := timed(session, in)
			if err != nil {
				return nil, err
			}
			best = min(best, took)
		}
		speeds = append(speeds, RunSpeed{n, math.Round(float64(n) / best)})
	}
	return speeds, nil
}

func timed(s runtime.Session, in map[string]format.Tensor) (seconds float64, err error) {
	began := time.Now()
	_, err = s.Run(in)
	return time.Since(began).Seconds(), err
}

// sameData reports whether all runs learned from the same data.
func sameData(runs []RunSummary) bool {
	return !slices.ContainsFunc(runs, func(r RunSummary) bool { return r.Data != runs[0].Data })
}

// verdictOf compares the architectures of runs: the mean validation loss at the end, over
// their seeds.
func verdictOf(runs []RunSummary) string {
	type group struct {
		name   string
		losses []float64
		seeds  map[uint64]bool
	}
	var groups []*group
	for _, r := range runs {
		name := fmt.Sprintf("%s of %s parameters", r.Arch, quote.Count(r.Parameters))
		i := slices.IndexFunc(groups, func(g *group) bool { return g.name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{name: name, seeds: map[uint64]bool{}})
		}
		groups[i].seeds[r.Seed] = true
		if r.ValLoss != nil {
			groups[i].losses = append(groups[i].losses, *r.ValLoss)
		}
	}
	switch {
	case !sameData(runs):
		return "the runs learned from different data, so their losses say nothing of each other"
	case len(groups) < 2:
		return fmt.Sprintf("all runs are of one network (%s)", groups[0].name)
	case slices.ContainsFunc(groups, func(g *group) bool { return len(g.losses) == 0 }):
		return "a run has no validation loss yet, so nothing can be said"
	}
	mean := func(g *group) (m, deviation float64) {
		for _, x := range g.losses {
			m += x / float64(len(g.losses))
		}
		for _, x := range g.losses {
			deviation += (x - m) * (x - m)
		}
		return m, math.Sqrt(deviation / float64(max(1, len(g.losses)-1)))
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		x, _ := mean(a)
		y, _ := mean(b)
		return int(math.Copysign(1, x-y))
	})
	first, spread := mean(groups[0])
	seeds := len(groups[0].seeds)
	var others []string
	clear := seeds > 1
	for _, g := range groups[1:] {
		m, d := mean(g)
		seeds = min(seeds, len(g.seeds))
		others = append(others, fmt.Sprintf("%s with %.4f", g.name, m))
		clear = clear && len(g.seeds) > 1 && m-first > 2*math.Hypot(spread/math.Sqrt(float64(len(groups[0].losses))), d/math.Sqrt(float64(len(g.losses))))
	}
	sure := "one seed each decides nothing"
	switch {
	case clear:
		sure = fmt.Sprintf("more than two standard errors apart, with %d seeds or more each", seeds)
	case seeds > 1:
		sure = fmt.Sprintf("within two standard errors, with %d seeds or more each", seeds)
	}
	return fmt.Sprintf("%s ends with the lower validation loss, %.4f, before %s: %s", groups[0].name, first, strings.Join(others, " and "), sure)
}
