//! The gradc compiler as a library: Program, Model, compiled steps
