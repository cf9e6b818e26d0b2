package bundle

import (
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// inferenceService has the fields of KServe's serving.kserve.io/v1beta1 that the
// manifest uses, under the names of the json tags in kserve/kserve:
// pkg/apis/serving/v1beta1/{inference_service,predictor,predictor_model}.go. storageUri
// and protocolVersion are fields of PredictorExtensionSpec, which ModelSpec holds
// inline.
type inferenceService struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Predictor struct {
			Model struct {
				ModelFormat struct {
					Name string `yaml:"name"`
				} `yaml:"modelFormat"`
				Runtime         string `yaml:"runtime"`
				ProtocolVersion string `yaml:"protocolVersion"`
				StorageURI      string `yaml:"storageUri"`
			} `yaml:"model"`
		} `yaml:"predictor"`
	} `yaml:"spec"`
}

// The manifest has KServe's fields and no others, and a name that Kubernetes takes.
// The runtime is the one of config/runtimes/kserve-tritonserver.yaml, whose model
// format is triton; it starts tritonserver with the repository at /mnt/models.
func TestKServe(t *testing.T) {
	label := regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`) // RFC 1035, which KServe asks of a name
	for _, name := range []string{"gpt2", "SmolLM2-135M_Instruct", "7b", "-", "é", strings.Repeat("a", 62) + "-b", strings.Repeat("9", 80)} {
		d := yaml.NewDecoder(strings.NewReader(string(KServe(name))))
		d.KnownFields(true)
		var s inferenceService
		if err := d.Decode(&s); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		m := s.Spec.Predictor.Model
		if s.APIVersion != "serving.kserve.io/v1beta1" || s.Kind != "InferenceService" || !label.MatchString(s.Metadata.Name) ||
			m.ModelFormat.Name != "triton" || m.Runtime != "kserve-tritonserver" || m.ProtocolVersion != "v2" || !strings.HasPrefix(m.StorageURI, "pvc://") {
			t.Errorf("%q: %+v", name, s)
		}
	}
}
