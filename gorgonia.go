package attnx

import (
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/exprgraph"
)

// Gorgonia is a network that was written in Gorgonia: the nodes of a
// gorgonia.ExprGraph that are its inputs and outputs.
type Gorgonia = exprgraph.Network

// FromGorgonia returns a network of Gorgonia as a model, with copies of the values
// of its weights. Export, Verify and Checkpoint.Save take it as any other. An
// operator that attnx cannot read is refused by name. Its errors are of type
// *exprgraph.Error and name the node and the remedy.
func FromGorgonia(n Gorgonia) (*model.Checkpoint, error) { return exprgraph.Read(n) }
