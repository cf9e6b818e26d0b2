package arch

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/model/nn"
)

// Rope are the settings of rotary positions, with transformers' names. Its
// types stretch the positions for texts that are longer than those of the
// training.
type Rope struct {
	Type     string  `json:"rope_type"` // default, linear, llama3 or yarn
	Theta    float64 `json:"rope_theta"`
	Partial  float64 `json:"partial_rotary_factor,omitempty"`            // the share of a head that is rotated; 0: all
	Factor   float64 `json:"factor,omitempty"`                           // the texts are longer by this
	Original int     `json:"original_max_position_embeddings,omitempty"` // llama3, yarn: the longest text of the training

	Low  float64 `json:"low_freq_factor,omitempty"`  // llama3: waves longer than Original/Low are stretched by Factor
	High float64 `json:"high_freq_factor,omitempty"` // llama3: waves shorter than Original/High stay

	BetaFast        float64 `json:"beta_fast,omitempty"`        // yarn: turns in Original tokens from which a wave stays; 0: 32
	BetaSlow        float64 `json:"beta_slow,omitempty"`        // yarn: turns up to which a wave is stretched by Factor; 0: 1
	AttentionFactor float64 `json:"attention_factor,omitempty"` // yarn: of sine and cosine; 0: from Factor and the next two
	MScale          float64 `json:"mscale,omitempty"`
	MScaleAll       float64 `json:"mscale_all_dim,omitempty"`
	Untruncated     bool    `json:"untruncated,omitempty"` // yarn: the limits of the ramp are not rounded
}

// ropeTypes lists the types of Rope that are supported.
const ropeTypes = "default, linear, llama3, yarn"

// CheckType returns an error if the type of r is not supported.
func (r Rope) CheckType() error {
	if slices.Contains(strings.Split(ropeTypes, ", "), r.Type) {
		return nil
	}
	return fmt.Errorf("rope_type is %.40q, supported are %s", r.Type, ropeTypes)
}

func (r Rope) check() error {
	bad := func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) || x < 0 }
	for name, x := range map[string]float64{
		"rope_theta": r.Theta, "factor": r.Factor, "low_freq_factor": r.Low, "high_freq_factor": r.High, "beta_fast": r.BetaFast, "beta_slow": r.BetaSlow,
		"attention_factor": r.AttentionFactor, "mscale": r.MScale, "mscale_all_dim": r.MScaleAll, "partial_rotary_factor": r.Partial,
	} {
		if bad(x) {
			return fmt.Errorf("%s is %g, must be a positive number", name, x)
		}
	}
	switch {
	case r.Theta == 0:
		return fmt.Errorf("rope_theta is 0, must be positive")
	case r.Partial > 1:
		return fmt.Errorf("partial_rotary_factor is %g, must be at most 1", r.Partial)
	case r.Type == "default":
		return nil
	case r.Factor == 0:
		return fmt.Errorf("factor of the rope_type %.40q is missing", r.Type)
	case r.Type == "linear":
		return nil
	case (r.Type == "llama3" || r.Type == "yarn") && (r.Original < 1 || r.Original > maxSize):
		return fmt.Errorf("original_max_position_embeddings is %d, must be from 1 to %d", r.Original, maxSize)
	case r.Type == "llama3" && !(r.Low > 0 && r.High > r.Low):
		return fmt.Errorf("low_freq_factor is %g and high_freq_factor %g: the first must be positive, and less than the second", r.Low, r.High)
	case r.Type == "llama3" || r.Type == "yarn":
		return nil
	}
	return r.CheckType()
}

// rotary returns the rotation of heads of the given width.
func (r Rope) rotary(width int) *nn.Rotary {
	if r.Partial > 0 {
		width = int(float64(width) * r.Partial)
	}
	angles, scale := nn.Frequencies(r.Theta, width), 1.0
	switch r.Type {
	case "linear":
		for i := range angles {
			angles[i] /= r.Factor
		}
	case "llama3":
		for i, a := range angles {
			angles[i] = r.llama3(a)
		}
	case "yarn":
		scale = r.yarn(angles, width)
	}
	return &nn.Rotary{Theta: r.Theta, Width: width, Angles: angles, Scale: scale}
}

// llama3 is the scaling of Llama 3.1 (meta-llama/llama-models, apply_scaling):
// short waves stay, long ones are stretched, and those between are mixed.
func (r Rope) llama3(angle float64) float64 {
	turns := float64(r.Original) * angle / (2 * math.Pi) // in the longest text of the training
	switch {
	case turns > r.High:
		return angle
	case turns < r.Low:
		return angle / r.Factor
	}
	smooth := (turns - r.Low) / (r.High - r.Low)
	return (1-smooth)*angle/r.Factor + smooth*angle
}

// yarn stretches the angles of width elements (arXiv:2309.00071, section 3.2)
// and returns the factor of sine and cosine (section 3.3).
func (r Rope) yarn(angles []float64, width int) (factor float64) {
	fast, slow := r.BetaFast, r.BetaSlow
	if fast == 0 {
		fast = 32
	}
	if slow == 0 {
		slow = 1
	}
	at := func(turns float64) float64 { // the element whose wave has this number of turns
		return float64(width) * math.Log(float64(r.Original)/(turns*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	low, high := at(fast), at(slow)
	if !r.Untruncated {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(width-1))
	if low == high {
		high += 0.001
	}
	for i, a := range angles {
		stretched := min(max((float64(i)-low)/(high-low), 0), 1)
		angles[i] = a/r.Factor*stretched + a*(1-stretched)
	}
	scale := func(m float64) float64 {
		if r.Factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(r.Factor) + 1
	}
	switch {
	case r.AttentionFactor != 0:
		return r.AttentionFactor
	case r.MScale != 0 && r.MScaleAll != 0:
		return scale(r.MScale) / scale(r.MScaleAll)
	}
	return scale(1)
}

// Factors returns the numbers by which r divides the angles of heads of the given
// width: see MatchesFactors.
func (r Rope) Factors(width int) []float32 {
	angles, plain := r.rotary(width).Angles, nn.Frequencies(r.Theta, width)
	factors := make([]float32, len(angles))
	for i, a := range angles {
		factors[i] = float32(plain[i] / a)
	}
	return factors
}

// Originals returns the original lengths with which r, of type llama3, may divide the
// angles of heads of the given width by factors. One of those between 1 and r.Factor
// shows the length; without any, powers of 2 are tried. MatchesFactors decides.
func (r Rope) Originals(width int, factors []float32) (lengths []int) {
	for i, angle := range nn.Frequencies(r.Theta, width) {
		if i >= len(factors) || !(factors[i] > 1) || !(float64(factors[i]) < r.Factor) {
			continue
		}
		smooth := (1/float64(factors[i]) - 1/r.Factor) / (1 - 1/r.Factor)
		if n := (r.Low + smooth*(r.High-r.Low)) * 2 * math.Pi / angle; n >= 0.5 && n < math.MaxInt32 {
			lengths = append(lengths, int(math.Round(n)))
		}
	}
	if len(lengths) > 0 {
		return lengths
	}
	for n := 1; n < math.MaxInt32/2; n *= 2 {
		lengths = append(lengths, n)
	}
	return lengths
}

// MatchesFactors reports whether r turns heads of the given width by the angles
// without scaling, divided by factors: the form in which llama.cpp's files hold
// the settings of Llama 3.1. They are computed in float32.
func (r Rope) MatchesFactors(width int, factors []float32) bool {
	if r.check() != nil {
		return false
	}
	angles, plain := r.rotary(width).Angles, nn.Frequencies(r.Theta, width)
	if len(factors) != len(angles) {
		return false
	}
	for i, f := range factors {
		if !(math.Abs(angles[i]*float64(f)/plain[i]-1) < 1e-5) {
			return false
		}
	}
	return true
}
