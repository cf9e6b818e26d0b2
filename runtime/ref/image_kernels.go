package ref

// imageKernels compute images: resizing, sampling, padding, regions.
var imageKernels = []kernel{
	single(resize),
	certain(gridSample),
	single(roiAlign),
	single(maxRoiPool),
	single(pad),
}
