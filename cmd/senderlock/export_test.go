package main

// StepOf is the step at which the Guard refuses for a reason.
func StepOf(reason string) (source, text string, ok bool) {
	s := stepOf(reason)
	if s == nil {
		return "", "", false
	}
	return s.source, s.text, true
}
