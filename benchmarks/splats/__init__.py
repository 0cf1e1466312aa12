"""What novel views cameras give: Gaussians fitted to photographs, others held out."""
