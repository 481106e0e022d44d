/* The families of nodes, each a NULL-terminated list in the file that declares it, and the output
 * types that several families share (outputs.c). */
#ifndef IMU_FAMILIES_H
#define IMU_FAMILIES_H

#include "worker/nodes/node.h"

extern const imu_node_type *const imu_nodes_primitives[];
extern const imu_node_type *const imu_nodes_math[];
extern const imu_node_type *const imu_nodes_strings[];
extern const imu_node_type *const imu_nodes_collections[];
extern const imu_node_type *const imu_nodes_metadata[];
extern const imu_node_type *const imu_nodes_models[];
extern const imu_node_type *const imu_nodes_prompts[];
extern const imu_node_type *const imu_nodes_latents[];
extern const imu_node_type *const imu_nodes_denoise[];
extern const imu_node_type *const imu_nodes_tiles[];
extern const imu_node_type *const imu_nodes_vae[];
extern const imu_node_type *const imu_nodes_images[];
extern const imu_node_type *const imu_nodes_masks[];
extern const imu_node_type *const imu_nodes_loras[];
extern const imu_node_type *const imu_nodes_upscale[];
extern const imu_node_type *const imu_nodes_control[];
extern const imu_node_type *const imu_nodes_t2i[];
extern const imu_node_type *const imu_nodes_ip[];
extern const imu_node_type *const imu_nodes_tensor_masks[];

extern const imu_output_type imu_out_integer, imu_out_float, imu_out_string, imu_out_boolean;
extern const imu_output_type imu_out_integers, imu_out_floats, imu_out_strings, imu_out_booleans;
extern const imu_output_type imu_out_image, imu_out_images, imu_out_latents, imu_out_conditioning;
extern const imu_output_type imu_out_vae, imu_out_metadata;

#endif
