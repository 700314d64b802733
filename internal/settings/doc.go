// Package settings is the one vocabulary by which programs are configured that protect an API: where the settings are
// read from, what they mean, and what is wrong with each. It makes the stores and the Guard that they ask for. It is for
// the commands and the examples, which sit on top of the library; the library knows nothing of it.
package settings
