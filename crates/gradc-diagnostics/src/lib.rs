//! Source spans, stable diagnostic codes and their rendering to text
