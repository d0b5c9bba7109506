"""The library room of trained models: manifests, boosters, inputs, scores. Any stage may import it; it imports none."""
