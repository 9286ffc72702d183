//! Makes a cluster a detection desk: what Picket sets up there, planned before it is done. Undoes
//! nothing that it did not make.

pub mod kibana;
