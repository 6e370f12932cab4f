//! RIV TA: the contracts that the gateway speaks, between their wire form and what they say.

pub mod wsdl;
