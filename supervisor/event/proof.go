package event

// Proof says how exactly the descriptors are known that a process had open at its exit.
type Proof string

// The kinds of proof, the best one first. They differ in the time at which the descriptor
// table was read. The empty value is for a descriptor of the supervisor, which needs no proof.
const (
	ProofExact   Proof = "exact"   // read at the exit of the last thread
	ProofSampled Proof = "sampled" // read a few milliseconds before the exit
	ProofNone    Proof = "none"    // not read, or not in time
)
