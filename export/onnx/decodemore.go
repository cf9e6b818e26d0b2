package onnx

// Everything in a model besides its graph.

func (d *decoder) function(f field, n *Function, where string) error {
	if err := d.object(f, costGraph); err != nil {
		return err
	}
	return d.each(f, where, func(f field) error {
		switch f.number {
		case 1:
			return f.name(&n.Name)
		case 4:
			return d.listed(f, &n.Inputs)
		case 5:
			return d.listed(f, &n.Outputs)
		case 6:
			return d.listed(f, &n.Attributes)
		case 7:
			return d.node(f, &n.Nodes)
		case 8:
			return f.text(&n.DocString, maxText)
		case 9:
			return d.opset(f, &n.Opsets)
		case 10:
			return f.name(&n.Domain)
		case 11:
			a, err := d.attribute(f, where)
			n.Defaults = append(n.Defaults, a)
			return err
		case 12:
			return d.valueInfo(f, &n.Values, "value_info")
		case 13:
			return f.name(&n.Overload)
		case 14:
			return d.entry(f, &n.Metadata)
		}
		return nil
	})
}

func (d *decoder) training(f field, t *Training) error {
	if err := d.object(f, costType); err != nil {
		return err
	}
	part := func(f field, into **Graph) error {
		if *into == nil {
			*into = &Graph{}
		}
		return d.graph(f, *into)
	}
	return d.each(f, "training information", func(f field) error {
		switch f.number {
		case 1:
			return part(f, &t.Initialization)
		case 2:
			return part(f, &t.Algorithm)
		case 3:
			return d.entry(f, &t.InitializationBinding)
		case 4:
			return d.entry(f, &t.UpdateBinding)
		}
		return nil
	})
}

func (d *decoder) annotation(f field, a *Annotation) error {
	if err := d.object(f, costType); err != nil {
		return err
	}
	return d.each(f, "quantization annotation", func(f field) error {
		switch f.number {
		case 1:
			return f.name(&a.Tensor)
		case 2:
			return d.entry(f, &a.Parameters)
		}
		return nil
	})
}

func (d *decoder) devices(f field, c *Devices) error {
	if err := d.object(f, costType); err != nil {
		return err
	}
	return d.each(f, "configuration", func(f field) error {
		switch f.number {
		case 1:
			return f.name(&c.Name)
		case 2:
			return f.enum(&c.Count)
		case 3:
			return d.listed(f, &c.Names)
		}
		return nil
	})
}

func (d *decoder) nodeDevices(f field, c *NodeDevices) error {
	if err := d.object(f, costType); err != nil {
		return err
	}
	return d.each(f, f.where, func(f field) error {
		switch f.number {
		case 1:
			return f.name(&c.Configuration)
		case 2:
			return d.strings(f, &c.Sharding)
		case 3:
			c.Stage = new(int32)
			return f.enum(c.Stage)
		}
		return nil
	})
}
