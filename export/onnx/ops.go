package onnx

// opRow is what the checker knows of a standard operator.
type opRow struct {
	since              int64 // the first opset that has it
	minInputs          int
	maxInputs          int // -1: no limit
	outputs            int // at most; -1: no limit
	requiredAttributes []string
}

// standardOps are the operators of the standard domain that attnx writes, with
// those that its readers meet in transformer models of others. Numbers are
// from ONNX's operator list (docs/Operators.md).
var standardOps = map[string]opRow{
	"Add":                     {1, 2, 2, 1, nil},
	"And":                     {1, 2, 2, 1, nil},
	"Attention":               {23, 3, 7, 4, nil},
	"Cast":                    {1, 1, 1, 1, []string{"to"}},
	"Clip":                    {1, 1, 3, 1, nil},
	"Concat":                  {1, 1, -1, 1, []string{"axis"}},
	"Constant":                {1, 0, 0, 1, nil},
	"ConstantOfShape":         {9, 1, 1, 1, nil},
	"CumSum":                  {11, 2, 2, 1, nil},
	"DequantizeLinear":        {10, 2, 3, 1, nil},
	"Div":                     {1, 2, 2, 1, nil},
	"DynamicQuantizeLinear":   {11, 1, 1, 3, nil},
	"Equal":                   {1, 2, 2, 1, nil},
	"Erf":                     {9, 1, 1, 1, nil},
	"Exp":                     {1, 1, 1, 1, nil},
	"Expand":                  {8, 2, 2, 1, nil},
	"Gather":                  {1, 2, 2, 1, nil},
	"GatherElements":          {11, 2, 2, 1, nil},
	"Gelu":                    {20, 1, 1, 1, nil},
	"Gemm":                    {1, 2, 3, 1, nil},
	"Greater":                 {1, 2, 2, 1, nil},
	"GreaterOrEqual":          {12, 2, 2, 1, nil},
	"Identity":                {1, 1, 1, 1, nil},
	"LayerNormalization":      {17, 2, 3, 3, nil},
	"Less":                    {1, 2, 2, 1, nil},
	"LessOrEqual":             {12, 2, 2, 1, nil},
	"Log":                     {1, 1, 1, 1, nil},
	"LogSoftmax":              {1, 1, 1, 1, nil},
	"MatMul":                  {1, 2, 2, 1, nil},
	"MatMulInteger":           {10, 2, 4, 1, nil},
	"Max":                     {1, 1, -1, 1, nil},
	"Min":                     {1, 1, -1, 1, nil},
	"Mul":                     {1, 2, 2, 1, nil},
	"Neg":                     {1, 1, 1, 1, nil},
	"Not":                     {1, 1, 1, 1, nil},
	"OneHot":                  {9, 3, 3, 1, nil},
	"Pow":                     {1, 2, 2, 1, nil},
	"QuantizeLinear":          {10, 2, 3, 1, nil},
	"RMSNormalization":        {23, 2, 2, 1, nil},
	"Range":                   {11, 3, 3, 1, nil},
	"Reciprocal":              {1, 1, 1, 1, nil},
	"ReduceMax":               {1, 1, 2, 1, nil},
	"ReduceMean":              {1, 1, 2, 1, nil},
	"ReduceSum":               {1, 1, 2, 1, nil},
	"Relu":                    {1, 1, 1, 1, nil},
	"Reshape":                 {5, 2, 2, 1, nil},
	"RotaryEmbedding":         {23, 3, 4, 1, nil},
	"ScatterElements":         {11, 3, 3, 1, nil},
	"ScatterND":               {11, 3, 3, 1, nil},
	"Shape":                   {1, 1, 1, 1, nil},
	"Sigmoid":                 {1, 1, 1, 1, nil},
	"Slice":                   {10, 3, 5, 1, nil},
	"Softmax":                 {1, 1, 1, 1, nil},
	"SoftmaxCrossEntropyLoss": {12, 2, 3, 2, nil},
	"Split":                   {1, 1, 2, -1, nil},
	"Sqrt":                    {1, 1, 1, 1, nil},
	"Squeeze":                 {1, 1, 2, 1, nil},
	"Sub":                     {1, 2, 2, 1, nil},
	"Sum":                     {1, 1, -1, 1, nil},
	"Tanh":                    {1, 1, 1, 1, nil},
	"Transpose":               {1, 1, 1, 1, nil},
	"Trilu":                   {14, 1, 2, 1, nil},
	"Unsqueeze":               {1, 1, 2, 1, nil},
	"Where":                   {9, 3, 3, 1, nil},
}
