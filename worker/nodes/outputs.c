/* Output types that several families share. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

const imu_output_type imu_out_integer = {
    "IntegerOutput", "integer_output", "A whole number",
    FIELDS({.name = "value", .type = IMU_T_INT, .help = "The number"})};
const imu_output_type imu_out_float = {
    "FloatOutput", "float_output", "A number",
    FIELDS({.name = "value", .type = IMU_T_FLOAT, .help = "The number"})};
const imu_output_type imu_out_string = {
    "StringOutput", "string_output", "A text",
    FIELDS({.name = "value", .type = IMU_T_STRING, .help = "The text"})};
const imu_output_type imu_out_boolean = {
    "BooleanOutput", "boolean_output", "Yes or no",
    FIELDS({.name = "value", .type = IMU_T_BOOL, .help = "Yes or no"})};
const imu_output_type imu_out_integers = {
    "IntegerCollectionOutput", "integer_collection_output", "Several whole numbers",
    FIELDS({.name = "collection", .type = IMU_T_INT, .flags = IMU_F_LIST, .help = "The numbers"})};
const imu_output_type imu_out_floats = {
    "FloatCollectionOutput", "float_collection_output", "Several numbers",
    FIELDS(
        {.name = "collection", .type = IMU_T_FLOAT, .flags = IMU_F_LIST, .help = "The numbers"})};
const imu_output_type imu_out_strings = {
    "StringCollectionOutput", "string_collection_output", "Several texts",
    FIELDS({.name = "collection", .type = IMU_T_STRING, .flags = IMU_F_LIST, .help = "The texts"})};
const imu_output_type imu_out_booleans = {
    "BooleanCollectionOutput", "boolean_collection_output", "Several yes-or-no values",
    FIELDS({.name = "collection", .type = IMU_T_BOOL, .flags = IMU_F_LIST, .help = "The values"})};
const imu_output_type imu_out_image = {
    "ImageOutput", "image_output", "A picture and its size",
    FIELDS({.name = "image", .type = IMU_T_IMAGE, .help = "The picture"},
           {.name = "width", .type = IMU_T_INT, .help = "Its width in pixels"},
           {.name = "height", .type = IMU_T_INT, .help = "Its height in pixels"})};
const imu_output_type imu_out_images = {
    "ImageCollectionOutput", "image_collection_output", "Several pictures",
    FIELDS(
        {.name = "collection", .type = IMU_T_IMAGE, .flags = IMU_F_LIST, .help = "The pictures"})};
const imu_output_type imu_out_latents = {
    "LatentsOutput", "latents_output", "Latents and the size of the picture they stand for",
    FIELDS({.name = "latents", .type = IMU_T_LATENTS, .help = "The latents"},
           {.name = "width", .type = IMU_T_INT, .help = "Width of the picture in pixels"},
           {.name = "height", .type = IMU_T_INT, .help = "Height of the picture in pixels"})};
const imu_output_type imu_out_conditioning = {
    "ConditioningOutput", "conditioning_output", "A prompt as the network reads it",
    FIELDS({.name = "conditioning", .type = IMU_T_CONDITIONING, .help = "The encoded prompt"})};
const imu_output_type imu_out_vae = {
    "VAEOutput", "vae_output", "A VAE",
    FIELDS({.name = "vae", .type = IMU_T_VAE, .title = "VAE", .help = "The VAE"})};
const imu_output_type imu_out_metadata = {
    "MetadataOutput", "metadata_output", "Facts about a picture, to be stored with it",
    FIELDS({.name = "metadata", .type = IMU_T_METADATA, .help = "The facts"})};
