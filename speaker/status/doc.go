// Package status tells users what the speakers do: which node announces the
// addresses of a Service or why none does, by condition and event, and what each
// speaker sees of its own node, by its SpeakerStatus.
//
// Exactly one speaker reports on a Service: the one that announces its first
// address, or, where none is announced, the first healthy node's by name. What it
// has to say is derived from the same Plan that the drivers act upon; a Service is
// written only when its condition is not what it should be.
package status
