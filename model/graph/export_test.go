package graph

// ParseDim reads the text of a size, which only the text of a graph holds.
var ParseDim = parseDim

// Loosened is loosened.
var Loosened = loosened
