"""RGB-D pictures of an arm of three links, whose joints are known.

Coordinates are the camera's, in metres: x to the right, y down, z away from it. Depth
shows the arm's form whatever the light; RGB shows it under a light, in colours and
before a background that are others in every picture.
"""

import dataclasses
import functools

import cv2
import numpy as np

JOINTS = ("elbow", "wrist", "tip")
SPLITS = ("train", "unlabelled", "test")

FOCAL = 1.1  # picture sides; a field of view of 49 degrees
LENGTHS = (0.28, 0.25, 0.18)  # m, of the links from the shoulder on
RADII = (0.075, 0.055, 0.040)  # m
# Nobody knows an arm's size from one RGB picture; depth tells it.
SCALES = (0.85, 1.15)
# Radians: of the first link from hanging down, and between two links. Poses of any
# direction would need many times the pictures to learn from.
RAISED = (0, 1.1)
BENDS = (0.1, 1.1)
DISTANCES = (0.85, 1.35)  # m, of all joints
# |x| / z and |y| / z of all joints. The picture ends at 0.45, and the shoulder's radius
# adds at most 0.09 m / 0.85 m.
REACH = 0.35

PLANES = (2.1, 3.0)  # m, distance of the background where the camera points to
TILTS = (-0.2, 0.2)  # m that it recedes for a metre to the right, and down
TEXTURES = (0, 0.08)  # standard deviation of the background's noise, of each scale
DISTRACTORS = (1, 5)
AMBIENTS = (0.15, 0.5)
STRENGTHS = (0.5, 1.2)

BLURS = (0.3, 0.8)  # px, standard deviation of the optics
RGB_NOISES = (2, 8)  # grey levels, standard deviation
DEPTH_NOISES = (1, 2)  # mm, standard deviation
MISSING = (0, 0.02)  # share of the pixels without a depth


@dataclasses.dataclass(frozen=True)
class Light:
    """Parallel light, and what comes from everywhere.

    Attributes:
      direction: `[3]` unit vector to where it comes from.
      colour: `[3]` RGB, its strength included.
      ambient: strength of what comes from everywhere.
    """

    direction: np.ndarray
    colour: np.ndarray
    ambient: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
      joints: `[4, 3]` m, shoulder, elbow, wrist, tip.
      radii: `[3]` m, of the links.
      colours: `[3, 3]` RGB of the links, 0 to 1.
      plane: (z, a, b) of the background, which is at z + a x + b y.
      background: `[size, size, 3]` float32, its RGB as the camera sees it, 0 to 1.
      light: the `Light`.
    """

    joints: np.ndarray
    radii: np.ndarray
    colours: np.ndarray
    plane: tuple[float, float, float]
    background: np.ndarray
    light: Light


def take_picture(seed, split, number, size):
    """Picture `number` of a split, which these four alone decide.

    Poses and links are the same at every size.

    Returns:
      (rgb `[size, size, 3]` uint8, depth `[size, size]` uint16 in mm, 0 where it is
      unknown, joints `[3, 3]` m, those of JOINTS).
    """
    # A generator each, so that what one draws does not change the others.
    start = np.random.SeedSequence([seed, SPLITS.index(split), number])
    pose, looks, camera = map(np.random.default_rng, start.spawn(3))
    scene = draw_scene(pose, looks, size)
    rgb, z = render(scene, size)
    return _develop(camera, rgb), _sense(camera, z), scene.joints[1:]


def draw_scene(pose, looks, size):
    """The Scene that the generator `pose` gives a form and `looks` its colours."""
    joints, radii = _draw_arm(pose)
    plane = pose.uniform(*PLANES), *pose.uniform(*TILTS, 2)
    light = _draw_light(looks)
    colours = looks.uniform(0.1, 1, (3, 3))
    return Scene(joints, radii, colours, plane, _draw_background(looks, size), light)


def render(scene, size):
    """A Scene as an ideal camera sees it.

    Returns:
      (rgb `[size, size, 3]` float, 0 is black and 1 the most that is stored, z
      `[size, size]` float, m).
    """
    rays = _rays(size)
    distance, *tilt = scene.plane
    normal = np.array([*tilt, -1]) / np.linalg.norm([*tilt, 1])
    z = distance / (1 - rays[:, :2] @ tilt)
    normals = np.tile(normal, (len(rays), 1))
    colours = scene.background.reshape(-1, 3).astype(float)
    for link, radius in enumerate(scene.radii):
        start, end = scene.joints[link : link + 2]
        surface = _capsule(rays, start, end, radius)
        seen = surface < z
        z[seen] = surface[seen]
        colours[seen] = scene.colours[link]
        from_start = surface[seen, None] * rays[seen] - start
        axis = end - start
        share = (from_start @ axis / (axis @ axis)).clip(0, 1)
        normals[seen] = (from_start - share[:, None] * axis) / radius
    light = scene.light
    lit = (normals @ light.direction).clip(0)[:, None] * light.colour + light.ambient
    return (colours * lit).reshape(size, size, 3), z.reshape(size, size)


def project(points, size):
    """`[N, 3]` m -> `[N, 2]` px, x and y; the first pixel's centre is (0, 0)."""
    return points[:, :2] / points[:, 2:] * FOCAL * size + (size - 1) / 2


@functools.cache
def _rays(size):
    """`[size * size, 3]`, what each pixel sees at a z of 1 m; do not change them."""
    steps = (np.arange(size) - (size - 1) / 2) / (FOCAL * size)
    x, y = np.meshgrid(steps, steps)
    return np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)


def _capsule(rays, start, end, radius):
    """z at which rays meet all that is within `radius` of a segment; else inf."""
    axis = end - start
    length = axis @ axis
    squares = np.einsum("nc,nc->n", rays, rays)
    along = rays @ axis
    # A point's squared distance from the line less the radius's: q z^2 - 2 p z + c.
    q = np.maximum(squares - along**2 / length, 1e-12)
    p = rays @ start - along * (start @ axis) / length
    c = start @ start - (start @ axis) ** 2 / length - radius**2
    tube = _nearer_root(q, p, c)
    on_axis = tube * along - start @ axis
    tube[(on_axis < 0) | (on_axis > length) | (tube < 0)] = np.inf
    balls = [
        _nearer_root(squares, rays @ centre, centre @ centre - radius**2)
        for centre in (start, end)
    ]
    return np.minimum(tube, np.minimum(*balls))


def _nearer_root(q, p, c):
    """Of q z^2 - 2 p z + c = 0; 1e9 where there is none."""
    inside = p * p - q * c
    return np.where(inside >= 0, (p - np.sqrt(inside.clip(0))) / q, 1e9)


def _draw_arm(rng):
    """Joints `[4, 3]` that the camera sees, and the links' radii `[3]`."""
    scale = rng.uniform(*SCALES)
    while True:
        z = rng.uniform(*DISTANCES)
        joints = [np.array([*rng.uniform(-REACH, REACH, 2) * z, z])]
        direction, angles = np.array([0, 1, 0]), RAISED
        for length in LENGTHS:
            direction, angles = _turn(rng, direction, rng.uniform(*angles)), BENDS
            joints.append(joints[-1] + scale * length * direction)
        joints = np.stack(joints)
        seen = abs(joints[:, :2] / joints[:, 2:]).max() < REACH
        if seen and np.array_equal(joints[:, 2], joints[:, 2].clip(*DISTANCES)):
            return joints, scale * np.array(RADII)


def _turn(rng, direction, angle):
    """A unit vector turned by an angle, to any side."""
    across = _unit(np.cross(direction, rng.standard_normal(3)))
    return np.cos(angle) * direction + np.sin(angle) * across


def _draw_light(rng):
    direction = _unit(rng.standard_normal(3))
    # From the camera's side: else it would light the backs of things.
    direction[2] = -abs(direction[2])
    colour = rng.uniform(*STRENGTHS) * rng.uniform(0.7, 1, 3)
    return Light(direction, colour, rng.uniform(*AMBIENTS))


def _draw_background(rng, size):
    """Noise of several scales with flat shapes on it, `[size, size, 3]` float32."""
    image = np.full((size, size, 3), rng.uniform(0.2, 0.8, 3), np.float32)
    for cells in (3, 6, 12, 24):
        grid = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        grid *= rng.uniform(*TEXTURES)
        image += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(*DISTRACTORS, endpoint=True)):
        colour = rng.uniform(0.1, 1, 3)
        corners = rng.uniform(0, size, (4, 2)).astype(np.int32)
        match rng.integers(3):
            case 0:  # as thick as links are
                thickness = max(1, round(rng.uniform(0.05, 0.14) * size))
                cv2.polylines(image, [corners[:3]], False, colour, thickness)
            case 1:
                axes = rng.uniform(0.04, 0.16, 2) * size
                box = corners[0].tolist(), axes.tolist(), rng.uniform(0, 180)
                cv2.ellipse(image, box, colour, cv2.FILLED)
            case 2:
                near = corners[0] + (corners[1:] - corners[0]) // 3
                cv2.fillConvexPoly(image, near, colour)
    return image.clip(0, 1)


def _develop(rng, rgb):
    """What a camera makes of `[H, W, 3]` float: uint8, blurred and with noise."""
    blurred = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*BLURS))
    noise = rng.uniform(*RGB_NOISES) * rng.standard_normal(rgb.shape)
    return np.rint(255 * blurred + noise).clip(0, 255).astype(np.uint8)


def _sense(rng, z):
    """What a depth camera makes of `[H, W]` m: uint16 in mm, 0 where it sees none."""
    noise = rng.uniform(*DEPTH_NOISES) * rng.standard_normal(z.shape)
    depth = np.rint(1000 * z + noise).astype(np.uint16)
    depth[rng.random(z.shape) < rng.uniform(*MISSING)] = 0
    return depth


def _unit(vector):
    return vector / np.linalg.norm(vector)
