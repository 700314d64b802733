package p256

// Inverse is inverse, which everything else reaches only with its result checked.
var Inverse = inverse
